/**
 * Images with transformers.js on ONNX Runtime: scores of an image classifier, or the vector that a vision model has for
 * the whole image.
 */
import { activate } from '../activation.js'
import type { CreateEngine } from '../engine.js'
import { feedImages, imageProbe } from './feed-images.js'
import { SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const { output: rule } = spec
  if (rule.kind !== 'scores' && rule.kind !== 'pooled')
    throw new Error('An image engine gives scores or vectors')
  const scores = rule.kind === 'scores'
  return new SessionEngine(spec, feedImages, {
    wanted: { outputs: scores ? ['logits'] : ['image_embeds', 'pooler_output', 'last_hidden_state'] },
    probe: imageProbe,
    made: scores ? 'score' : 'vector',
    read({ data, dims }, rows) {
      const [count, second = 0, third = 1, ...more] = dims
      if (count !== rows.length || second === 0 || more.length > 0) {
        throw new Error(`The model's output has the shape [${dims}], not [${rows.length}, n]`)
      }
      // Of [images, patches, n] the first patch is the class token, which stands for the whole image.
      const width = dims.length === 3 ? third : second
      const stride = data.length / rows.length
      return rows.map((_, row) => {
        const numbers = data.subarray(row * stride, row * stride + width)
        return rule.kind === 'scores' ? activate(numbers, rule.activation) : numbers.slice()
      })
    },
  })
}
