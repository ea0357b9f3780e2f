/**
 * The frame of an engine of one session: loaded, batches padded and run, checked, closed. How an output becomes vectors
 * is what its engine adds. Reads one local folder and never the network.
 */
import type { EncodedItem, Engine, EngineFacts, EngineSpec, Sequence } from '../engine.js'
import { type PaddedBatch, padBatch } from '../padded-batch.js'
import { type LoadedSession, loadEncoder, type SessionOutput, type WantedOutput } from './encoder-session.js'

export interface Reading {
  readonly wanted: WantedOutput
  /** Any model of this kind takes it: shows at load what the model gives, and pays for first-run allocations then. */
  readonly probe: EncodedItem
  /** What a vector is made of, for errors. */
  readonly made: 'vector' | 'score' | 'logit'
  /**
   * One vector per row, each with its own buffer: the output is disposed afterwards.
   * @throws Error where the output has another shape than it should
   */
  read(output: SessionOutput, rows: readonly Sequence[], padded: PaddedBatch): Float32Array[]
}

export class SessionEngine implements Engine {
  readonly #spec: EngineSpec
  readonly #reading: Reading
  #session: LoadedSession | undefined

  constructor(spec: EngineSpec, reading: Reading) {
    this.#spec = spec
    this.#reading = reading
  }

  async load(): Promise<EngineFacts> {
    const { wanted, probe, made } = this.#reading
    this.#session = await loadEncoder(this.#spec, wanted)
    const [vector] = await this.run([probe])
    if (vector === undefined || vector.length === 0) throw new Error(`The model gives no ${made}`)
    return { dimensions: vector.length }
  }

  async run(rows: readonly Sequence[]): Promise<Float32Array[]> {
    if (this.#session === undefined) throw new Error('The engine is not loaded')
    const { made, read } = this.#reading
    const padded = padBatch(rows, this.#spec.padTokenId)
    const output = await this.#session.run(padded)
    try {
      const vectors = read(output, rows, padded)
      if (!vectors.every((vector) => vector.every(Number.isFinite)))
        throw new Error(`A ${made} is not finite`)
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
