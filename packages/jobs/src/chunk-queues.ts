/**
 * The producing side of BullMQ: one queue per model, one BullMQ job per chunk, or per group of small chunks that are
 * queued at one moment. BullMQ only carries: a queued job says which chunks of which records to compute, and nothing else.
 */

import { MillraceError } from '@millrace/contracts'
import { reach, reachError } from '@millrace/redis'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { groupsOf } from './chunk-groups.js'
import type { JobStore } from './job-store.js'
import { settledWithin } from './settled-within.js'

export interface ChunkKey {
  job: string
  run: number
  chunk: number
}

/** What a BullMQ job of ours holds. Inputs stay in the record: a dashboard must not show them. */
export interface ChunkData extends ChunkKey {
  /** Chunks of other jobs that travel with it. */
  with?: ChunkKey[]
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

/** Of a job that nobody queues again: its only chunk may travel with chunks of other jobs. */
export interface Company {
  /** Among so many workers is spread what is queued at one moment. */
  workers: number
  /** Of its inputs. */
  chars: number
}

interface Traveller extends Company {
  key: ChunkKey
  done: { resolve: () => void; reject: (error: unknown) => void }
}

/** In BullMQ jobs. */
export interface Depth {
  /** With those that are delayed: to be tried again, or told ahead. */
  waiting: number
  delayed: number
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
  /** What this turn queued so far, by model and priority. */
  readonly #together = new Map<string, Traveller[]>()

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
   * changes nothing. A chunk in company has no id of its own.
   * @param priority 0 goes first
   * @param way.delayMs until then nobody takes them
   * @throws MillraceError queue_unavailable, queue_memory, model_not_found
   */
  async add(
    model: string,
    { jobId, run, chunks }: ChunksOf,
    priority: number,
    { company, delayMs = 0 }: { company?: Company | undefined; delayMs?: number } = {},
  ): Promise<void> {
    const queue = this.#queue(model)
    this.#mustBeReady()
    const [first, second] = chunks
    if (company && delayMs === 0 && first !== undefined && second === undefined) {
      return this.#travel(queue, priority, { ...company, key: { job: jobId, run, chunk: first } })
    }
    const jobs = chunks.map((chunk) => ({
      name: 'chunk',
      data: { job: jobId, run, chunk },
      opts: { jobId: chunkJobId(jobId, chunk, run), priority, delay: delayMs },
    }))
    const [only] = jobs
    // One command where there is one chunk: addBulk wraps its own in a transaction.
    const added: Promise<unknown> =
      jobs.length === 1 && only ? queue.add(only.name, only.data, only.opts) : queue.addBulk(jobs)
    await bounded(added)
  }

  /** Queues a chunk with all others of this turn. */
  #travel(queue: Queue<ChunkData>, priority: number, traveller: Omit<Traveller, 'done'>): Promise<void> {
    const { promise, ...done } = withResolvers()
    const name = `${priority} ${queue.qualifiedName}`
    const together = this.#together.get(name)
    if (together) {
      together.push({ ...traveller, done })
      return promise
    }
    this.#together.set(name, [{ ...traveller, done }])
    // After the promises of this turn, which may queue more.
    process.nextTick(() => {
      const all = this.#together.get(name) ?? []
      this.#together.delete(name)
      for (const group of groupsOf(all, traveller.workers, ({ chars }) => chars)) {
        const added = bounded(this.#addGroup(queue, priority, group))
        for (const { done } of group) added.then(done.resolve, done.reject)
      }
    })
    return promise
  }

  async #addGroup(queue: Queue<ChunkData>, priority: number, group: readonly Traveller[]): Promise<void> {
    const [first, ...others] = group.map(({ key }) => key)
    if (!first) return
    const alone = chunkJobId(first.job, first.chunk, first.run)
    // Another id than the chunk's own: what ends the first job must not take the others along.
    const jobId = others.length === 0 ? alone : `${alone}+${others.length}`
    const data = others.length === 0 ? first : { ...first, with: others }
    await queue.add('chunk', data, { jobId, priority })
  }

  /**
   * Takes chunks that no worker has out of the queue; those in hand or in company stay, and their worker passes them over.
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
      delayed: counts.delayed ?? 0,
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

function withResolvers(): { promise: Promise<void> } & Traveller['done'] {
  let done: Traveller['done'] = { resolve: () => {}, reject: () => {} }
  const promise = new Promise<void>((resolve, reject) => {
    done = { resolve, reject }
  })
  return { promise, ...done }
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
