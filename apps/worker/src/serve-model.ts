/** One model of one worker, put together: model processes, batcher, claims, consumer. Started and stopped as one. */
import { hostname } from 'node:os'
import { MicroBatcher } from '@millrace/batching'
import type { ResultCache } from '@millrace/cache'
import type { Config, ModelConfig } from '@millrace/config'
import type { ModelFacts } from '@millrace/contracts'
import { ChunkConsumer, type JobStore, type WebhookQueue } from '@millrace/jobs'
import { type LoadedModel, loadModel } from '@millrace/model'
import type { ChunksInHand } from './chunks-in-hand.js'
import { Claims } from './claims.js'
import { ItemComputer } from './compute-items.js'
import type { Emit } from './events.js'
import type { ItemInFlight } from './items-in-flight.js'
import { processJob } from './process-job.js'
import type { SettledTeller } from './tell-settled.js'

export interface ServedModel {
  readonly alias: string
  readonly facts: ModelFacts
  /** Chunks and items finished since the start. */
  readonly done: { chunks: number; items: number }
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
}

/** How many waiting items the batcher looks through for neighbours of like length. */
const lookahead = 64
/** Chunks whose items are not in the batcher yet; more would be fetched blindly. */
const maxBlindChunks = 2
const maxChunksInHand = 256

/** Loads the model, then consumes. @throws Error when the model cannot be loaded */
export async function serveModel(options: ServeModelOptions): Promise<ServedModel> {
  const { config, emit, now } = options
  const { alias } = options.model
  const model = await load(options)
  const claims = new Claims(options.cache, options.workerId, config.CLAIM_LEASE_MS)
  const limits = {
    maxArea: config.BATCH_TOKENS,
    maxItems: Math.min(config.BATCH_ITEMS, model.maxBatchItems ?? config.BATCH_ITEMS),
    lookahead,
  }
  const computer = new ItemComputer({
    alias,
    model,
    batcher: new MicroBatcher<ItemInFlight>(limits, now),
    claims,
    busyLimitMs: config.BATCH_TIMEOUT_MS,
    now,
    emit,
    onRoom: () => consumer.roomChanged(),
    onModelLost: options.onModelLost,
  })
  const done = { chunks: 0, items: 0 }
  let blindChunks = 0
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
      blindChunks < maxBlindChunks &&
      computer.waitingTokens < config.BATCH_TOKENS &&
      consumer.chunksInHand < maxChunksInHand,
    handle: async (delivery) => {
      blindChunks += 1
      let blind = true
      const seen = () => {
        if (blind) blindChunks -= 1
        blind = false
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
        onStored: (items) => {
          done.chunks += 1
          done.items += items
        },
        onSeen: seen,
      }).finally(seen)
    },
  })
  consumer.start()
  let closing: Promise<void> | undefined
  return {
    alias,
    facts: model.facts,
    done,
    silentMs: () => (consumer.connected ? consumer.silentMs : 0),
    close: (limitMs) => {
      closing ??= stop(limitMs, { consumer, computer, model, claims })
      return closing
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
  await parts.consumer.close(limitMs)
  await parts.model.close()
  await parts.claims.close()
}

function load({ config, model, emit, engineModule }: ServeModelOptions): Promise<LoadedModel> {
  const { alias } = model
  return loadModel({
    alias,
    task: model.task,
    dtype: model.dtype,
    ...(model.dir === null ? { hub: model.hub } : { dir: model.dir }),
    dataDir: config.MILLRACE_DATA_DIR,
    processes: config.MODEL_PROCESSES,
    threads: config.MODEL_THREADS,
    batchTimeoutMs: config.BATCH_TIMEOUT_MS,
    mappedWeights: config.MAPPED_WEIGHTS,
    strictBatching: config.STRICT_BATCHING,
    engineOptions: { maxImagePixels: config.MAX_IMAGE_PIXELS, maxAudioS: config.MAX_AUDIO_S },
    ...(engineModule === undefined ? {} : { engineModule }),
    on: (event) => emit({ ...event, model: alias }),
  })
}

/** Names this worker in claims, locks, logs and on the dashboard. */
export function newWorkerId(): string {
  return `${hostname()}-${process.pid}-${Math.random().toString(36).slice(2, 6)}`
}
