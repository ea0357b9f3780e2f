/**
 * Candidates for a masked token with transformers.js on ONNX Runtime, as transformers' FillMaskPipeline.postprocess makes
 * them: softmax over all tokens at the place of the mask, the best of them.
 */
import { bestOf } from '../candidates.js'
import type { CreateEngine } from '../engine.js'
import { feedTexts } from './feed-texts.js'
import { SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const rule = spec.output
  if (rule.kind !== 'candidates') throw new Error('A fill-mask engine has to be told what the mask is')
  return new SessionEngine(spec, feedTexts, {
    wanted: { outputs: ['logits'] },
    probe: { ids: Int32Array.of(rule.maskTokenId) },
    made: 'score',
    read({ data, dims }, rows, { dims: [, width] }) {
      const [count, tokens, vocabulary] = dims
      if (count !== rows.length || tokens !== width || vocabulary === undefined) {
        throw new Error(`The model's logits have the shape [${dims}], not [${rows.length}, ${width}, n]`)
      }
      return rows.map(({ ids }, row) => {
        const place = ids.indexOf(rule.maskTokenId)
        if (place < 0) throw new Error('An item has no mask')
        const at = (row * width + place) * vocabulary
        return bestOf(data.subarray(at, at + vocabulary), rule.most)
      })
    },
  })
}
