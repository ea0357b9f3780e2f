/**
 * Scores with transformers.js on ONNX Runtime, for sequence classifiers and cross-encoders: one vector of scores per
 * item, from one logit per label.
 */
import { activate } from '../activation.js'
import type { CreateEngine } from '../engine.js'
import { feedTexts } from './feed-texts.js'
import { SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const { output: rule, padTokenId } = spec
  if (rule.kind !== 'scores') throw new Error('A classification engine has to be told how to score')
  return new SessionEngine(spec, feedTexts, {
    wanted: { outputs: ['logits'] },
    probe: { ids: Int32Array.of(padTokenId) },
    made: 'score',
    read({ data, dims }, rows) {
      const [count, labels, ...more] = dims
      if (count !== rows.length || labels === undefined || more.length > 0) {
        throw new Error(`The model's logits have the shape [${dims}], not [${rows.length}, n]`)
      }
      return rows.map((_, row) => activate(data.subarray(row * labels, (row + 1) * labels), rule.activation))
    },
  })
}
