/**
 * What this gateway knows of the fleet, sampled in the background so that no request waits for it: models and
 * workers, queue depths, drain rates, memory of the queue Redis. Old knowledge is kept while Redis is away.
 */
import type { ModelFacts } from '@millrace/contracts'
import type { ChunkQueues, Depth, Fleet, FleetRegistry, JobStore } from '@millrace/jobs'
import { DrainRate } from './drain-rate.js'
import type { Emit } from './events.js'
import { type ModelServing, nobody, servingOf, VersionWatch } from './model-serving.js'

export interface ModelView {
  facts: ModelFacts | undefined
  workers: number
  /** Chunks waiting at the last sample, plus what this gateway has queued since. */
  waiting: number
  /** Whether every worker had something in hand at the last sample. */
  busy: boolean
  /** Chunks finished per second, as last measured while chunks waited; 0 when that never was. */
  chunksPerS: number
}

export interface FleetViewOptions {
  models: readonly string[]
  registry: Pick<FleetRegistry, 'read'>
  queues: Pick<ChunkQueues, 'depth'>
  store: Pick<JobStore, 'memoryUse'>
  now: () => number
  emit: Emit
}

interface Sampled {
  depth: Depth | undefined
  queuedSince: number
  drain: DrainRate
}

const depthEveryMs = 250
const fleetEveryMs = 1000

export class FleetView {
  readonly #options: FleetViewOptions
  readonly #sampled = new Map<string, Sampled>()
  readonly #timers: NodeJS.Timeout[] = []
  #fleet: Fleet = { workers: [], models: new Map() }
  #serving: ReadonlyMap<string, ModelServing> = new Map()
  readonly #versions: VersionWatch
  #memory: { used: number; max: number } | undefined
  #failing = false
  #sampling: Promise<void> | undefined
  #readingDepths: Promise<void> | undefined

  constructor(options: FleetViewOptions) {
    this.#options = options
    this.#versions = new VersionWatch(options.emit)
    for (const model of options.models)
      this.#sampled.set(model, { depth: undefined, queuedSince: 0, drain: new DrainRate() })
  }

  /** Takes the first samples and goes on by itself until it is closed. */
  async start(): Promise<void> {
    await Promise.all([this.#sampleFleet(), this.#sampleDepths()])
    this.#timers.push(setInterval(() => this.#sampleFleet(), fleetEveryMs))
    this.#timers.push(setInterval(() => this.#sampleDepths(), depthEveryMs))
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  get memory(): { used: number; max: number } | undefined {
    return this.#memory
  }

  model(alias: string): ModelView {
    const sampled = this.#sampled.get(alias)
    const { workers } = this.serving(alias)
    const { active = 0, waiting = 0, delayed = 0 } = sampled?.depth ?? {}
    return {
      facts: this.#fleet.models.get(alias),
      workers,
      busy: active + waiting - delayed > workers,
      waiting: waiting + (sampled?.queuedSince ?? 0),
      chunksPerS: sampled?.drain.perSecond ?? 0,
    }
  }

  /** Who can be told of a job beside the queue: workers of the version that results are looked up by, while there is little to do. */
  idleWorkers(alias: string): readonly string[] {
    const { facts, busy } = this.model(alias)
    if (busy) return []
    return this.serving(alias).runs.find(({ version }) => version === facts?.version)?.workers ?? []
  }

  /** Who serves a model, and how. */
  serving(alias: string): ModelServing {
    return this.#serving.get(alias) ?? nobody
  }

  /** Takes a sample of the fleet now; a Redis that is away leaves what was known. */
  refresh(): Promise<void> {
    return this.#sampleFleet()
  }

  /**
   * The facts of a model. Where none are known yet they are asked for at once, not at the next sample: right after a
   * worker's first start everything would else be called a miss.
   */
  async factsOf(alias: string): Promise<ModelFacts | undefined> {
    if (!this.#fleet.models.has(alias)) await this.#sampleFleet()
    return this.#fleet.models.get(alias)
  }

  /** Counts what this gateway queued itself, and the bytes of its files, until the next sample sees it. */
  queued(alias: string, chunks: number, bytes = 0): void {
    if (this.#memory && bytes > 0) this.#memory = { ...this.#memory, used: this.#memory.used + bytes }
    const sampled = this.#sampled.get(alias)
    if (sampled) sampled.queuedSince += chunks
  }

  /** All who ask while a sample is under way share it. */
  #sampleFleet(): Promise<void> {
    this.#sampling ??= this.#readFleet().finally(() => {
      this.#sampling = undefined
    })
    return this.#sampling
  }

  #readFleet(): Promise<void> {
    const { registry, store, now } = this.#options
    return this.#attempt(async () => {
      const [fleet, memory] = await Promise.all([registry.read(), store.memoryUse()])
      this.#fleet = fleet
      this.#serving = new Map(this.#options.models.map((alias) => [alias, servingOf(alias, fleet.workers)]))
      for (const [alias, { runs }] of this.#serving) this.#versions.note(alias, runs)
      this.#memory = memory
      for (const [alias, sampled] of this.#sampled) {
        const done = new Map<string, number>()
        for (const { id, models } of fleet.workers) {
          const progress = models[alias]
          if (progress) done.set(id, progress.chunksDone)
        }
        sampled.drain.note(done, (sampled.depth?.waiting ?? 0) > 0, now())
      }
    })
  }

  /** One at a time: two that overlap would both take off what was queued before them. */
  #sampleDepths(): Promise<void> {
    this.#readingDepths ??= this.#readDepths().finally(() => {
      this.#readingDepths = undefined
    })
    return this.#readingDepths
  }

  #readDepths(): Promise<void> {
    const { queues, now } = this.#options
    return this.#attempt(async () => {
      for (const [alias, sampled] of this.#sampled) {
        const before = sampled.queuedSince
        sampled.depth = await queues.depth(alias, now())
        sampled.queuedSince -= before
      }
    })
  }

  /** A failed sample is told once per outage: the connections themselves tell of coming and going. */
  async #attempt(sample: () => Promise<void>): Promise<void> {
    try {
      await sample()
      this.#failing = false
    } catch (error) {
      if (!this.#failing) {
        this.#options.emit({
          type: 'sample-failed',
          error: error instanceof Error ? error : new Error(String(error)),
        })
      }
      this.#failing = true
    }
  }
}
