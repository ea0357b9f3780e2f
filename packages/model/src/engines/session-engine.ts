/**
 * The frame of an engine of one session: loaded, batches fed and run, checked, closed. What a forward pass is fed with and
 * how its output becomes vectors is what its engine adds. Reads one local folder and never the network.
 */
import type { EncodedItem, Engine, EngineFacts, EngineSpec } from '../engine.js'
import {
  type Feeds,
  type LoadedSession,
  loadEncoder,
  type SessionOutput,
  type WantedOutput,
} from './encoder-session.js'

/** What becomes of an output. `Pass`: what its reader has to know of the forward pass. */
export interface Reading<Pass> {
  readonly wanted: WantedOutput
  /** Any model of this kind takes it: shows at load what the model gives, and pays for first-run allocations then. */
  readonly probe: EncodedItem
  /** What a vector is made of, for errors. */
  readonly made: 'vector' | 'score' | 'logit' | 'box' | 'class'
  /** Each item has a forward pass of its own, and a vector as long as it happens to be. */
  readonly apart?: true
  /**
   * One vector per row, each with its own buffer: the output is disposed afterwards.
   * @throws Error where the output has another shape than it should
   */
  read(output: SessionOutput, rows: readonly EncodedItem[], pass: Pass): Float32Array[]
}

/** Items as the tensors of one forward pass. @throws InputRefused where one is at fault */
export type Feed<Pass> = (rows: readonly EncodedItem[]) => Promise<{ feeds: Feeds; pass: Pass }>

/** Called once, before the session is loaded. */
export type OpenFeed<Pass> = (spec: EngineSpec) => Promise<Feed<Pass>>

export class SessionEngine<Pass> implements Engine {
  readonly #spec: EngineSpec
  readonly #openFeed: OpenFeed<Pass>
  readonly #reading: Reading<Pass>
  #loaded: { session: LoadedSession; feed: Feed<Pass> } | undefined

  constructor(spec: EngineSpec, openFeed: OpenFeed<Pass>, reading: Reading<Pass>) {
    this.#spec = spec
    this.#openFeed = openFeed
    this.#reading = reading
  }

  async load(): Promise<EngineFacts> {
    const { wanted, probe, made, apart } = this.#reading
    const feed = await this.#openFeed(this.#spec)
    this.#loaded = { session: await loadEncoder(this.#spec, wanted), feed }
    const [vector] = await this.run([probe])
    if (apart) return { dimensions: 0, oneAtATime: true }
    if (vector === undefined || vector.length === 0) throw new Error(`The model gives no ${made}`)
    return { dimensions: vector.length }
  }

  async run(rows: readonly EncodedItem[]): Promise<Float32Array[]> {
    if (!this.#reading.apart) return this.#pass(rows)
    const vectors = []
    for (const row of rows) vectors.push(...(await this.#pass([row])))
    return vectors
  }

  async #pass(rows: readonly EncodedItem[]): Promise<Float32Array[]> {
    if (this.#loaded === undefined) throw new Error('The engine is not loaded')
    const { session, feed } = this.#loaded
    const { made, read } = this.#reading
    const { feeds, pass } = await feed(rows)
    const output = await session.run(feeds)
    try {
      const vectors = read(output, rows, pass)
      if (!vectors.every((vector) => vector.every(Number.isFinite)))
        throw new Error(`A ${made} is not finite`)
      return vectors
    } finally {
      output.dispose()
    }
  }

  async close(): Promise<void> {
    const loaded = this.#loaded
    this.#loaded = undefined
    await loaded?.session.dispose()
  }
}
