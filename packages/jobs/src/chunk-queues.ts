/**
 * The producing side of BullMQ: one queue per model, one BullMQ job per chunk. BullMQ only carries: a queued job says
 * which chunk of which record to compute, and nothing else.
 */
import { MillraceError } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent } from '@millrace/redis'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { reach, reachError } from './reach.js'

/** What a BullMQ job of ours holds. Inputs stay in the record: a dashboard must not show them. */
export interface ChunkData {
  job: string
  chunk: number
}

export interface ChunkQueuesOptions {
  url: string
  models: readonly string[]
  /** Tries of a chunk before BullMQ gives it up. */
  attempts: number
  on?: ((event: RedisEvent) => void) | undefined
}

export interface Depth {
  waiting: number
  active: number
  /** Age of the oldest waiting chunk, by this process' clock. */
  oldestWaitMs: number | null
}

const addTimeoutMs = 2000
/** Recent work stays visible on the dashboard; the bounds keep it from filling the queue Redis. */
const keepRecent = { removeOnComplete: { age: 600, count: 200 }, removeOnFail: { age: 86_400, count: 1000 } }

/** BullMQ's prefix, tagged per model: all keys of a queue share one slot on Redis Cluster. */
export function queuePrefix(model: string): string {
  return `{mr:${model}}`
}

/** One name for all: the prefix tells the models apart. */
export const queueName = 'chunks'

export class ChunkQueues {
  readonly #redis: Redis
  readonly #queues: ReadonlyMap<string, Queue<ChunkData>>

  private constructor(redis: Redis, queues: ReadonlyMap<string, Queue<ChunkData>>) {
    this.#redis = redis
    this.#queues = queues
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background, and adding fails fast. */
  static async connect(options: ChunkQueuesOptions): Promise<ChunkQueues> {
    // No autopipelining here: it costs BullMQ's scripts a third of their throughput.
    const redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: true,
      commandTimeoutMs: addTimeoutMs,
      on: options.on,
    })
    const queues = new Map<string, Queue<ChunkData>>()
    for (const model of options.models) {
      const queue = new Queue<ChunkData>(queueName, {
        connection: redis,
        prefix: queuePrefix(model),
        defaultJobOptions: {
          attempts: options.attempts,
          backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
          ...keepRecent,
        },
        streams: { events: { maxLen: 1000 } },
      })
      // Told already by the connection's own events.
      queue.on('error', () => {})
      queues.set(model, queue)
    }
    await firstReady(redis, 2000)
    return new ChunkQueues(redis, queues)
  }

  get healthy(): boolean {
    return this.#redis.status === 'ready'
  }

  /**
   * Queues chunks 0 .. count-1 of a job. Their BullMQ ids are `<job>-<chunk>`: adding twice changes nothing.
   * @throws MillraceError queue_unavailable, queue_memory, model_not_found
   */
  async add(model: string, jobId: string, count: number): Promise<void> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    const chunks = Array.from({ length: count }, (_, chunk) => ({
      name: 'chunk',
      data: { job: jobId, chunk },
      opts: { jobId: chunkJobId(jobId, chunk) },
    }))
    const [only] = chunks
    // One command where there is one chunk: addBulk wraps its own in a transaction.
    const added: Promise<unknown> =
      count === 1 && only ? queue.add(only.name, only.data, only.opts) : queue.addBulk(chunks)
    await bounded(added)
  }

  /** @throws MillraceError queue_unavailable, model_not_found */
  async depth(model: string, nowMs: number): Promise<Depth> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    const [counts, [oldest]] = await bounded(
      Promise.all([
        queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active'),
        queue.getJobs(['waiting'], 0, 0, true),
      ]),
    )
    return {
      waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0) + (counts.delayed ?? 0),
      active: counts.active ?? 0,
      oldestWaitMs: oldest ? Math.max(0, nowMs - oldest.timestamp) : null,
    }
  }

  /** The BullMQ queues themselves, by model: for the dashboard. */
  queues(): ReadonlyMap<string, Queue<ChunkData>> {
    return this.#queues
  }

  async close(): Promise<void> {
    const queues = [...this.#queues.values()]
    // A queue that never saw Redis waits for it at close; the connection's end below releases it.
    const closing = Promise.allSettled(queues.map((queue) => queue.close()))
    if (this.healthy)
      await Promise.race([closing, new Promise((resolve) => setTimeout(resolve, 1000).unref())])
    await closeRedis(this.#redis)
  }

  #queue(model: string): Queue<ChunkData> {
    const queue = this.#queues.get(model)
    if (!queue) throw new MillraceError('model_not_found', `There is no model '${model}'`)
    return queue
  }

  /** BullMQ waits for a connection without limit; we say at once that there is none. */
  #mustBeReady(): void {
    if (!this.healthy) throw reachError(new Error(`connection is ${this.#redis.status}`))
  }
}

export function chunkJobId(jobId: string, chunk: number): string {
  return `${jobId}-${chunk}`
}

async function bounded<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${addTimeoutMs} ms`)), addTimeoutMs)
  })
  return reach(() => Promise.race([work, limit])).finally(() => clearTimeout(timer))
}
