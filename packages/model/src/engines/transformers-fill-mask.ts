/**
 * Candidates for a masked token with transformers.js on ONNX Runtime, as transformers' FillMaskPipeline.postprocess makes
 * them: softmax over all tokens at the place of the mask, the best of them. Reads one local folder and never the network.
 */
import { bestOf } from '../candidates.js'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { padBatch } from '../padded-batch.js'
import { loadEncoder } from './encoder-session.js'
import type { LoadedSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersFillMask(spec)

class TransformersFillMask implements Engine {
  readonly #spec: EngineSpec
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
  }

  async load(): Promise<EngineFacts> {
    const rule = this.#spec.output
    if (rule.kind !== 'candidates') throw new Error('A fill-mask engine has to be told what the mask is')
    this.#session = await loadEncoder(this.#spec, ['logits'])
    // One pass with the mask alone: shows how many candidates there are and pays for first-run allocations now.
    const [vector] = await this.run([{ ids: Int32Array.of(rule.maskTokenId) }])
    if (vector === undefined || vector.length === 0) throw new Error('The model gives no candidate')
    return { dimensions: vector.length }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    if (this.#session === undefined) throw new Error('The engine is not loaded')
    const rule = this.#spec.output
    if (rule.kind !== 'candidates') throw new Error('A fill-mask engine has to be told what the mask is')
    const places = batch.map(({ ids }) => ids.indexOf(rule.maskTokenId))
    if (places.includes(-1)) throw new Error('An item has no mask')
    const padded = padBatch(batch, this.#spec.padTokenId)
    const [, width] = padded.dims
    const logits = await this.#session.run(padded)
    try {
      const [count, tokens, vocabulary] = logits.dims
      if (count !== batch.length || tokens !== width || vocabulary === undefined) {
        throw new Error(
          `The model's logits have the shape [${logits.dims}], not [${batch.length}, ${width}, n]`,
        )
      }
      const vectors = places.map((place, row) => {
        const at = (row * width + place) * vocabulary
        return bestOf(logits.data.subarray(at, at + vocabulary), rule.most)
      })
      if (!vectors.every((vector) => vector.every(Number.isFinite))) throw new Error('A score is not finite')
      return vectors
    } finally {
      logits.dispose()
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.dispose()
  }
}
