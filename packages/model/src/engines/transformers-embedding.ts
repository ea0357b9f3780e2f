/**
 * Embeddings with transformers.js on ONNX Runtime, for feature-extraction models. Pools itself: the library's own pooling
 * costs several milliseconds per batch.
 */
import type { CreateEngine } from '../engine.js'
import { pool } from '../pooling.js'
import { feedTexts } from './feed-texts.js'
import { SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const { output: rule, padTokenId } = spec
  if (rule.kind !== 'pooled') throw new Error('An embedding engine has to be told how to pool')
  return new SessionEngine(spec, feedTexts, {
    wanted: { outputs: ['last_hidden_state', 'token_embeddings'] },
    probe: { ids: Int32Array.of(padTokenId) },
    made: 'vector',
    read({ data, dims }, rows, { dims: [, width], lengths }) {
      const [count, tokens, dimensions] = dims
      if (count !== rows.length || tokens !== width || dimensions === undefined) {
        throw new Error(`The model's output has the shape [${dims}], not [${rows.length}, ${width}, n]`)
      }
      return pool(data, width, dimensions, lengths, rule.pooling)
    },
  })
}
