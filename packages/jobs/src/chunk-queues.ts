/**
 * The producing side of BullMQ: one queue per model, one BullMQ job per chunk. BullMQ only carries: a queued job says
 * which chunk of which record to compute, and nothing else.
 */

import { MillraceError } from '@millrace/contracts'
import { reach, reachError } from '@millrace/redis'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { JobStore } from './job-store.js'
import { settledWithin } from './settled-within.js'

/** What a BullMQ job of ours holds. Inputs stay in the record: a dashboard must not show them. */
export interface ChunkData {
  job: string
  run: number
  chunk: number
}

export interface ChunkQueuesOptions {
  /** A gateway's. On its connection a record, sent first, is there before its chunks. */
  store: JobStore
  models: readonly string[]
  /** Tries of a chunk before BullMQ gives it up. */
  attempts: number
}

/** Chunks of one run of a job. */
export interface ChunksOf {
  jobId: string
  run: number
  chunks: readonly number[]
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

  static open(options: ChunkQueuesOptions): ChunkQueues {
    const redis = options.store.connection
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
    return new ChunkQueues(redis, queues)
  }

  get healthy(): boolean {
    return this.#redis.status === 'ready'
  }

  /**
   * Queues chunks of a job. Their BullMQ ids are `<job>-<chunk>`, and of a later run `<job>-<chunk>.<run>`: adding twice
   * changes nothing.
   * @param priority 0 goes first
   * @throws MillraceError queue_unavailable, queue_memory, model_not_found
   */
  async add(model: string, { jobId, run, chunks }: ChunksOf, priority: number): Promise<void> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    const jobs = chunks.map((chunk) => ({
      name: 'chunk',
      data: { job: jobId, run, chunk },
      opts: { jobId: chunkJobId(jobId, chunk, run), priority },
    }))
    const [only] = jobs
    // One command where there is one chunk: addBulk wraps its own in a transaction.
    const added: Promise<unknown> =
      jobs.length === 1 && only ? queue.add(only.name, only.data, only.opts) : queue.addBulk(jobs)
    await bounded(added)
  }

  /**
   * Takes chunks that no worker has out of the queue; those in hand stay, and their worker passes them over.
   * @throws MillraceError queue_unavailable, model_not_found
   */
  async remove(model: string, { jobId, run, chunks }: ChunksOf): Promise<void> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    // A chunk in hand is locked: BullMQ leaves it and answers 0.
    const removed = chunks.map((chunk) => queue.remove(chunkJobId(jobId, chunk, run)))
    await bounded(Promise.all(removed))
  }

  /** @throws MillraceError queue_unavailable, model_not_found */
  async depth(model: string, nowMs: number): Promise<Depth> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    const [counts, heads] = await bounded(
      Promise.all([
        queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active'),
        // The first of each: of the prioritized ones it is the oldest of the most urgent.
        queue.getJobs(['waiting', 'prioritized'], 0, 0, true),
      ]),
    )
    const oldestAtMs = Math.min(...heads.map(({ timestamp }) => timestamp))
    return {
      waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0) + (counts.delayed ?? 0),
      active: counts.active ?? 0,
      oldestWaitMs: heads.length > 0 ? Math.max(0, nowMs - oldestAtMs) : null,
    }
  }

  /** The BullMQ queues themselves, by model: for the dashboard. */
  queues(): ReadonlyMap<string, Queue<ChunkData>> {
    return this.#queues
  }

  /** The connection is the store's, which closes it. */
  async close(): Promise<void> {
    const queues = [...this.#queues.values()]
    // A queue that never saw Redis waits for it at close; the connection's end below releases it.
    const closing = Promise.allSettled(queues.map((queue) => queue.close()))
    if (this.healthy) await settledWithin(closing, 1000)
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

export function chunkJobId(jobId: string, chunk: number, run: number): string {
  return run === 0 ? `${jobId}-${chunk}` : `${jobId}-${chunk}.${run}`
}

async function bounded<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${addTimeoutMs} ms`)), addTimeoutMs)
  })
  return reach(() => Promise.race([work, limit])).finally(() => clearTimeout(timer))
}
