/**
 * Scores with transformers.js on ONNX Runtime, for sequence classifiers and cross-encoders: one vector of scores per
 * item, from one logit per label. Reads one local folder and never the network.
 */
import { activate } from '../activation.js'
import type { CreateEngine, EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import { padBatch } from '../padded-batch.js'
import { loadEncoder } from './encoder-session.js'
import type { LoadedSession } from './transformers-session.js'

export const createEngine: CreateEngine = (spec) => new TransformersClassification(spec)

class TransformersClassification implements Engine {
  readonly #spec: EngineSpec
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec) {
    this.#spec = spec
  }

  async load(): Promise<EngineFacts> {
    this.#session = await loadEncoder(this.#spec, ['logits'])
    // One pass with the pad token: shows how many labels there are and pays for first-run allocations now.
    const [scores] = await this.run([{ ids: Int32Array.of(this.#spec.padTokenId) }])
    if (scores === undefined || scores.length === 0) throw new Error('The model gives no score')
    return { dimensions: scores.length }
  }

  async run(batch: readonly EncodedItem[]): Promise<Float32Array[]> {
    if (this.#session === undefined) throw new Error('The engine is not loaded')
    const rule = this.#spec.output
    if (rule.kind !== 'scores') throw new Error('A classification engine has to be told how to score')
    const logits = await this.#session.run(padBatch(batch, this.#spec.padTokenId))
    try {
      const [count, labels, ...more] = logits.dims
      if (count !== batch.length || labels === undefined || more.length > 0) {
        throw new Error(`The model's logits have the shape [${logits.dims}], not [${batch.length}, n]`)
      }
      const scores = batch.map((_, row) =>
        activate(logits.data.subarray(row * labels, (row + 1) * labels), rule.activation),
      )
      if (!scores.every((row) => row.every(Number.isFinite))) throw new Error('A score is not finite')
      return scores
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
