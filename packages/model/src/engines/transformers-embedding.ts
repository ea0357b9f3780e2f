/**
 * Embeddings with transformers.js on ONNX Runtime, for feature-extraction models. Reads one local folder and never
 * the network. Pools itself: the library's own pooling costs several milliseconds per batch.
 */
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { padBatch } from '../padded-batch.js'
import { pool } from '../pooling.js'
import { loadEncoder } from './encoder-session.js'
import type { LoadedSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersEmbedding(spec)

class TransformersEmbedding implements Engine {
  readonly #spec: EngineSpec
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
  }

  async load(): Promise<EngineFacts> {
    this.#session = await loadEncoder(this.#spec, ['last_hidden_state', 'token_embeddings'])
    // One pass with the pad token: shows what the model puts out and pays for first-run allocations now.
    const [vector] = await this.run([{ ids: Int32Array.of(this.#spec.padTokenId) }])
    if (vector === undefined || vector.length === 0) throw new Error('The model gives no vector')
    return { dimensions: vector.length }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    if (this.#session === undefined) throw new Error('The engine is not loaded')
    if (this.#spec.output.kind !== 'pooled') throw new Error('An embedding engine has to be told how to pool')
    const padded = padBatch(batch, this.#spec.padTokenId)
    const { lengths } = padded
    const [, width] = padded.dims
    const output = await this.#session.run(padded)
    try {
      const [count, tokens, dimensions] = output.dims
      if (count !== batch.length || tokens !== width || dimensions === undefined) {
        throw new Error(
          `The model's output has the shape [${output.dims}], not [${batch.length}, ${width}, n]`,
        )
      }
      const vectors = pool(output.data, width, dimensions, lengths, this.#spec.output.pooling)
      if (!vectors.every((vector) => vector.every(Number.isFinite))) throw new Error('A vector is not finite')
      return vectors
    } finally {
      output.dispose()
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.dispose()
  }
}
