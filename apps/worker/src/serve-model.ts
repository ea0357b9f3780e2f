/** One model of one worker, put together: model processes, batcher, claims, consumer. Started and stopped as one. */
import { hostname } from 'node:os'
import { type Batcher, type BatcherLimits, MicroBatcher } from '@millrace/batching'
import type { ResultCache } from '@millrace/cache'
import type { Config, ModelConfig } from '@millrace/config'
import type { ModelFacts, Serving } from '@millrace/contracts'
import {
  type ChunkAhead,
  ChunkConsumer,
  type ChunkDelivery,
  type JobStore,
  type WebhookQueue,
} from '@millrace/jobs'
import { costOf, type LoadedModel, loadModel, threadsFor } from '@millrace/model'
import { batchPolicy } from './batch-policy.js'
import type { ChunksInHand } from './chunks-in-hand.js'
import { Claims } from './claims.js'
import { ItemComputer } from './compute-items.js'
import type { Emit } from './events.js'
import type { ItemInFlight } from './items-in-flight.js'
import { processJob } from './process-job.js'
import type { SettledTeller } from './tell-settled.js'
import { TokenRate } from './token-rate.js'

export interface ServedModel {
  readonly alias: string
  readonly facts: ModelFacts
  /** What was finished since the start: BullMQ jobs, in which several chunks may have come, and items. */
  readonly done: { chunks: number; items: number }
  /** What is announced of it now. */
  readonly serving: () => Serving
  /** From here on it takes chunks. */
  start(): void
  /** Begins with a chunk that the queue has yet to bring. */
  ahead(told: ChunkAhead): void
  /** How long the consumer has been silent although it has room and a connection. */
  readonly silentMs: () => number
  close(limitMs: number): Promise<void>
}

export interface ServeModelOptions {
  config: Config
  model: ModelConfig
  workerId: string
  store: JobStore
  cache: ResultCache
  teller: SettledTeller
  inHand: ChunksInHand
  webhooks: WebhookQueue
  now: () => number
  emit: Emit
  onModelLost: (error: Error) => void
  /** For tests: a module that stands in for the real engine. */
  engineModule?: string | undefined
  /** For the benchmark: batches formed in another way. */
  newBatcher?: NewBatcher | undefined
}

export type NewBatcher = <T>(limits: BatcherLimits, now: () => number) => Batcher<T>

/** BullMQ jobs whose items are not in the batcher yet: more would be fetched blindly. */
const maxBlindJobs = 2
/**
 * So long before a batch is needed its chunks are fetched: about what the way through queue, record and cache takes on a busy
 * machine. Until then they stay where an idle worker finds them, and more of them come together.
 */
const fetchLeadMs = 8
/** Their locks have to be kept alive. Jobs of one text have to fill a batch that runs, one that is ready and one that waits. */
const chunksInHand = (maxItems: number) => Math.max(256, 4 * maxItems)
/** Another worker's text is waited for this long before we write it ourselves. */
const longestGrowthMs = 3_600_000
/** Share of a graceful stop after which a text that is still being written is given back. */
const growthShare = 0.8

/** Loads the model; it takes chunks once it is started. @throws Error when the model cannot be loaded */
export async function serveModel(options: ServeModelOptions): Promise<ServedModel> {
  const { config, emit, now } = options
  const { alias, limits: own } = options.model
  const rate = new TokenRate(now)
  const model = measured(await load(options), rate)
  const claims = new Claims(options.cache, options.workerId, config.CLAIM_LEASE_MS)
  const threads = threadsOf(options.model, config)
  const { limits, policy, says } = await batchPolicy(model, {
    tokens: own.batchTokens,
    items: own.batchItems,
    dataDir: config.MILLRACE_DATA_DIR,
    threads,
  })
  emit({ type: 'batch-policy', model: alias, says, ...policy })
  const computer = new ItemComputer({
    alias,
    model,
    batcher: options.newBatcher?.<ItemInFlight>(limits, now) ?? new MicroBatcher<ItemInFlight>(limits, now),
    claims,
    // What grows may take its time; a worker that dies loses its claim.
    busyLimitMs: model.follow ? longestGrowthMs : own.batchTimeoutMs,
    now,
    emit,
    onRoom: () => consumer.roomChanged(),
    onModelLost: options.onModelLost,
  })
  const done = { chunks: 0, items: 0 }
  /** Fetched, and not seen in the batcher yet. */
  const blind = new Set<ChunkDelivery>()
  const consumer = new ChunkConsumer({
    url: config.QUEUE_REDIS_URL,
    model: alias,
    workerId: options.workerId,
    lockMs: config.LOCK_MS,
    stalledCheckMs: config.STALLED_CHECK_MS,
    now,
    on: emit,
    // Enough for the next batch, and no more: what lies here, an idle worker elsewhere cannot take.
    hasRoom: () =>
      jobsOf(blind) < maxBlindJobs &&
      computer.waitingTokens < limits.maxArea &&
      consumer.chunksInHand < chunksInHand(limits.maxItems),
    neededInMs: () => computer.neededInMs(fetchLeadMs),
    // A small batch costs nearly as much as a larger one: then the first chunk that comes may still join it.
    isSupplied: () => blind.size > 0 || computer.waitingTokens >= limits.maxArea / 2,
    handle: async (delivery) => {
      blind.add(delivery)
      const seen = () => {
        blind.delete(delivery)
        consumer.roomChanged()
      }
      await processJob(delivery, {
        alias,
        task: options.model.task,
        modelVersion: model.facts.version,
        store: options.store,
        computer,
        inHand: options.inHand,
        teller: options.teller,
        webhooks: options.webhooks,
        now,
        emit,
        onStored: (share, items) => {
          done.chunks += share
          done.items += items
        },
        onSeen: seen,
      }).finally(seen)
    },
  })
  let closing: Promise<void> | undefined
  return {
    alias,
    facts: { ...model.facts, batching: { ...model.facts.batching, policy } },
    done,
    serving: () => ({
      version: model.facts.version,
      dtype: model.facts.dtype,
      batching: {
        mode: model.facts.batching.mode,
        tokens: limits.maxArea,
        items: limits.maxItems,
        timeout_ms: own.batchTimeoutMs,
      },
      processes: own.processes,
      threads,
      tokens_per_s: rate.perSecond === null ? null : Math.round(rate.perSecond),
    }),
    start: () => consumer.start(),
    ahead: (told) => {
      if (!consumer.handleAhead(told)) void claims.release([told.claimed])
    },
    silentMs: () => (consumer.connected ? consumer.silentMs : 0),
    close: (limitMs) => {
      closing ??= stop(limitMs, { consumer, computer, model, claims })
      return closing
    },
  }
}

/** How many BullMQ jobs brought them. */
function jobsOf(deliveries: Iterable<ChunkDelivery>): number {
  let jobs = 0
  for (const { share } of deliveries) jobs += share
  return jobs
}

/** The same model; what its batches take is noted. */
function measured(model: LoadedModel, rate: TokenRate): LoadedModel {
  return {
    ...model,
    runBatch: async (batch, hooks) => {
      rate.begin()
      let tokens = 0
      try {
        const outcome = await model.runBatch(batch, hooks)
        // An image has none, and counts as what it costs.
        tokens = batch.reduce((sum, item) => sum + (item.ids.length || costOf(item)), 0)
        return outcome
      } finally {
        rate.end(tokens)
      }
    },
  }
}

/** Fetch nothing, give back what no model process has, finish what one has, then close; each within its bound. */
async function stop(
  limitMs: number,
  parts: { consumer: ChunkConsumer; computer: ItemComputer; model: LoadedModel; claims: Claims },
): Promise<void> {
  parts.consumer.stopFetching()
  await parts.computer.stop()
  const hurry = setTimeout(() => parts.computer.endGrowing(), limitMs * growthShare)
  await parts.consumer.close(limitMs)
  clearTimeout(hurry)
  await parts.model.close()
  await parts.claims.close()
}

function load({ config, model, emit, engineModule }: ServeModelOptions): Promise<LoadedModel> {
  const { alias } = model
  return loadModel({
    alias,
    task: model.task,
    dtype: model.dtype,
    digest: model.digest,
    ...(model.dir === null ? { hub: model.hub } : { dir: model.dir }),
    dataDir: config.MILLRACE_DATA_DIR,
    hubUrl: config.HUB_URL,
    processes: model.limits.processes,
    device: model.device,
    threads: threadsOf(model, config),
    batchTimeoutMs: model.limits.batchTimeoutMs,
    mappedWeights: config.MAPPED_WEIGHTS,
    strictBatching: config.STRICT_BATCHING,
    engineOptions: { maxImagePixels: config.MAX_IMAGE_PIXELS, maxAudioS: config.MAX_AUDIO_S },
    ...(engineModule === undefined ? {} : { engineModule }),
    on: (event) => emit({ ...event, model: alias }),
  })
}

/** The model processes on the CPU share this worker's quota. */
function threadsOf({ limits }: ModelConfig, { served, models }: Config): number {
  const onCpu = served.flatMap((alias) => models.get(alias) ?? []).filter(({ device }) => device === 'cpu')
  const processes = onCpu.reduce((sum, model) => sum + model.limits.processes, 0)
  return threadsFor(limits.threads, Math.max(1, processes))
}

/** Names this worker in claims, locks, logs and on the dashboard. */
export function newWorkerId(): string {
  return `${hostname()}-${process.pid}-${Math.random().toString(36).slice(2, 6)}`
}
