/** For the tests of this app: a worker without a model. It takes chunks and stores results as a real one does. */
import { encodeError, encodeLabels, encodeScore, encodeVector, keyMaker, ResultCache } from '@millrace/cache'
import type { ModelFacts, Serving } from '@millrace/contracts'
import {
  ChunkConsumer,
  type ChunkDelivery,
  encodeSettled,
  FleetRegistry,
  JobStore,
  settledChannel,
} from '@millrace/jobs'
import { model } from './gateway-under-test.js'

export const fakeFacts: ModelFacts = {
  version: 'v1',
  task: 'feature-extraction',
  dtype: 'q8',
  dimensions: 2,
  max_tokens: 256,
  batching: { mode: 'batched', probe_difference: 0 },
}

/** Two numbers that tell which input they are of. */
export const fakeVector = (input: string) => [input.length, input.charCodeAt(0)]
export const fakeResult = (input: string) => encodeVector(new Float32Array(fakeVector(input)))

/** A model that a fake worker serves. */
export interface FakeModel {
  alias: string
  facts: ModelFacts
  resultOf: (input: string) => Buffer
}

export const fakeEmbedder: FakeModel = { alias: model, facts: fakeFacts, resultOf: fakeResult }

const { version, dtype, max_tokens, batching } = fakeFacts
const common = { version, dtype, max_tokens, batching }
const labels = ['praise', 'question', 'complaint']

/** The longer a text, the more it is a question; it is never a complaint. */
export const fakeClassifier: FakeModel = {
  alias: 'tiny-classifier',
  facts: { ...common, task: 'text-classification', labels, multi_label: false },
  resultOf: ({ length }) => encodeLabels(labels, new Float32Array([1 / length, 1 - 1 / length, 0])),
}

/** The longer a query and its text are together, the better they fit. */
export const fakeReranker: FakeModel = {
  alias: 'tiny-reranker',
  facts: { ...common, task: 'rerank' },
  resultOf: ({ length }) => encodeScore(length / 100),
}

export class FakeWorker {
  /** Every input that was computed, in its order. */
  computed: string[] = []
  /** Which inputs cannot be computed. */
  fails: (input: string) => boolean = () => false
  /** Awaited before a chunk is taken, and between its taking and its storing. */
  beforeTake: (chunk: ChunkDelivery) => Promise<void> = async () => {}
  beforeStore: (chunk: ChunkDelivery) => Promise<void> = async () => {}
  readonly store: JobStore
  readonly #model: FakeModel
  readonly #registry: FleetRegistry
  readonly #consumer: ChunkConsumer

  private constructor(served: FakeModel, store: JobStore, registry: FleetRegistry, url: string) {
    this.#model = served
    this.store = store
    this.#registry = registry
    this.#consumer = new ChunkConsumer({
      url,
      model: served.alias,
      workerId: `w-${served.alias}`,
      lockMs: 10_000,
      stalledCheckMs: 5000,
      hasRoom: () => true,
      now: Date.now,
      handle: (chunk) => this.#handle(chunk),
    })
  }

  /** @param url of the queue Redis */
  static async start(url: string, served: FakeModel = fakeEmbedder): Promise<FakeWorker> {
    const store = await JobStore.connect({ url, role: 'worker' })
    const registry = await FleetRegistry.connect({ url })
    const worker = new FakeWorker(served, store, registry, url)
    await announceModel(registry, served)
    worker.#consumer.start()
    return worker
  }

  /** Holds every chunk before it is taken, or stored, until the answered function is called. */
  hold(when: 'beforeTake' | 'beforeStore' = 'beforeTake'): () => void {
    let letGo = () => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    this[when] = () => held
    return letGo
  }

  reset(): void {
    this.computed = []
    this.fails = () => false
    this.beforeTake = async () => {}
    this.beforeStore = async () => {}
  }

  async stop(): Promise<void> {
    await this.#consumer.close(2000)
    await Promise.all([this.store.close(), this.#registry.close()])
  }

  async #handle(chunk: ChunkDelivery): Promise<void> {
    await this.beforeTake(chunk)
    const taken = await this.store.take(chunk, chunk.attempt, Date.now())
    if (taken.state === 'taken') {
      await this.beforeStore(chunk)
      this.computed.push(...taken.items.map(({ input }) => input))
      const results = new Map(taken.items.map(({ slot, input }) => [slot, this.#resultOf(input)]))
      const failed = taken.items.filter(({ input }) => this.fails(input)).length
      const costs = { failed, hits: 0, joined: 0, tokenizeUs: 1, predictUs: 1, batchSize: 1 }
      const { jobId, run, chunk: index } = chunk
      const stored = { jobId, run, chunk: index, ttlMs: taken.facts.ttlMs, results, ...costs }
      const outcome = await this.store.storeChunk(stored, Date.now())
      if (outcome.state === 'settled-now') {
        // As a real worker: results travel only where they are the whole output.
        const { facts, progress } = outcome
        const whole = progress.status === 'succeeded' && results.size === facts.slotCount
        const outputs = whole ? results : null
        await this.store.publish(settledChannel, encodeSettled([{ jobId, progress, outputs }]))
      }
    }
    await chunk.complete()
  }

  #resultOf(input: string): Buffer {
    return this.fails(input)
      ? encodeError({ code: 'inference_failed', detail: 'it was told to fail' })
      : this.#model.resultOf(input)
  }
}

/** Puts results into the cache Redis, as if these inputs had been computed. @returns their content keys */
export async function rememberResults(
  cacheUrl: string,
  inputs: readonly string[],
  scope = 'tenant:default',
  { facts, resultOf }: FakeModel = fakeEmbedder,
): Promise<string[]> {
  const { version: modelVersion, task } = facts
  const keyOf = keyMaker({ scope, modelVersion, task, options: { truncate: false } })
  const entries = inputs.map((input) => ({ key: keyOf(input), value: resultOf(input) }))
  const cache = await ResultCache.connect({ url: cacheUrl, lruBytes: 0, ttlS: 100 })
  await cache.setMany(entries)
  await cache.close()
  return entries.map(({ key }) => key)
}

/** Makes the model known, as a worker does that has loaded it. */
export async function announceModel(
  registry: FleetRegistry,
  { alias, facts }: FakeModel = fakeEmbedder,
): Promise<void> {
  const { version, dtype, batching } = facts
  const serving: Serving = {
    version,
    dtype,
    batching: { mode: batching.mode, tokens: 256, items: 32, timeout_ms: 30_000 },
    processes: 1,
    threads: 1,
    tokens_per_s: null,
  }
  const models = { [alias]: { chunksDone: 0, itemsDone: 0, serving } }
  await registry.announce({ id: `w-${alias}`, startedAtMs: Date.now(), models }, new Map([[alias, facts]]))
}
