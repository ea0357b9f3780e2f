/**
 * The consuming side of BullMQ: fetches one chunk at a time while the worker has room and need, keeps the locks of all chunks in
 * hand alive, and hands each to `handle`. We fetch by hand, not through BullMQ's own loop, for four reasons: how many
 * chunks to hold is a matter of their tokens, not of a count; what a busy worker needs only later, an idle one may have now;
 * our own clock on a fetch proves that we consume; and BullMQ takes the most urgent chunk without end, where we let the
 * oldest one pass now and then.
 */
import { openRedis, type RedisEvent } from '@millrace/redis'
import { Job, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import type { ChunkAhead } from './ahead-channel.js'
import { type ChunkData, chunkJobId, queueName, queuePrefix } from './chunk-queues.js'
import { defineJobCommands } from './job-commands.js'
import { settledWithin } from './settled-within.js'

/**
 * A chunk in hand. Exactly one of complete, fail, giveBack ends it; each swallows the loss of its lock. Chunks that came
 * in company leave together, when the last of them has ended: one that failed or goes back takes the others along, and
 * what of them is stored is passed over then.
 */
export interface ChunkDelivery {
  readonly jobId: string
  readonly run: number
  readonly chunk: number
  /** Milliseconds since it was queued. */
  readonly ageMs: number
  /** Its part of the BullMQ job that carried it: 1 where it came alone. */
  readonly share: number
  /** Which try this is, from 1. */
  readonly attempt: number
  /** Whether BullMQ will not try again after this one. */
  readonly lastAttempt: boolean
  /** Set when BullMQ gave the chunk up because its workers died again and again. */
  readonly givenUp: string | undefined
  /** Set where it came beside the queue, with all that is to be computed; ending it ends nothing in the queue. */
  readonly ahead?: ChunkAhead
  complete(): Promise<void>
  /** Puts it back with a delay, or ends it where this was the last try. */
  fail(error: Error): Promise<void>
  /** Puts it back at the head of the queue, at once, without counting as a try. */
  giveBack(): Promise<void>
}

export type ConsumerEvent =
  | RedisEvent
  | { type: 'locks-lost'; model: string; chunks: string[] }
  | { type: 'consumer-error'; model: string; error: Error }

export interface ChunkConsumerOptions {
  url: string
  model: string
  /** Shown on the dashboard beside each chunk. */
  workerId: string
  lockMs: number
  stalledCheckMs: number
  hasRoom: () => boolean
  /** Milliseconds until more chunks are of use, to be asked again when `roomChanged`. Absent: they are now. */
  neededInMs?: () => number
  /** Whether there is enough to do by then: the queue is looked at all the same, and not waited at. Absent: there is not. */
  isSupplied?: () => boolean
  /** Must not throw; resolves when the delivery has ended. */
  handle: (delivery: ChunkDelivery) => Promise<void>
  now: () => number
  on?: ((event: ConsumerEvent) => void) | undefined
}

/** A worker that dies takes its chunks along once; more often, and the chunk itself is to blame. */
const maxStalledCount = 5
const blockS = 2
/** Whatever is missed, the queue is looked at again after this long. */
const longestRestMs = 10_000
/** Every so many fetches of a worker, the chunk that has waited longest is next, whatever its priority. */
export const oldestFetchedEvery = 8
const retryDelayMs = 500

export class ChunkConsumer {
  readonly #options: ChunkConsumerOptions
  readonly #redis: Redis
  readonly #worker: Worker<ChunkData>
  readonly #inHand = new Map<string, string>()
  readonly #handling = new Set<Promise<void>>()
  #renewal: NodeJS.Timeout | undefined
  #fetching: Promise<void> | undefined
  #stopped = false
  #wake: (() => void) | undefined
  #fetches = 0
  #unansweredSinceMs: number | undefined

  constructor(options: ChunkConsumerOptions) {
    this.#options = options
    this.#redis = openRedis({ url: options.url, role: 'queue', failFast: false, on: options.on })
    defineJobCommands(this.#redis)
    this.#worker = new Worker<ChunkData>(queueName, null, {
      connection: this.#redis,
      prefix: queuePrefix(options.model),
      name: options.workerId,
      autorun: false,
      lockDuration: options.lockMs,
      stalledInterval: options.stalledCheckMs,
      maxStalledCount,
      drainDelay: blockS,
      skipLockRenewal: true,
    })
    this.#worker.on('error', (error) => options.on?.({ type: 'consumer-error', model: options.model, error }))
  }

  start(): void {
    if (this.#fetching || this.#stopped) return
    this.#fetching = this.#fetchLoop()
    this.#worker.startStalledCheckTimer().catch((error: Error) => this.#complain(error))
    this.#renewal = setInterval(() => this.#renewLocks(), this.#options.lockMs / 3)
  }

  /** How long a fetch has had no answer, in milliseconds; 0 while nothing is asked for. */
  get silentMs(): number {
    return this.#unansweredSinceMs === undefined ? 0 : this.#options.now() - this.#unansweredSinceMs
  }

  /** Whether the connection stands: silence while Redis is away is not the consumer's fault. */
  get connected(): boolean {
    return this.#redis.status === 'ready'
  }

  get chunksInHand(): number {
    return this.#handling.size
  }

  /** Says that there may be room again. */
  roomChanged(): void {
    this.#wake?.()
  }

  /** Hands out a chunk that came beside the queue, as one that was fetched. Answers false where nothing more is taken. */
  handleAhead(ahead: ChunkAhead): boolean {
    if (this.#stopped || !this.#fetching) return false
    this.#handle(this.#deliveryAhead(ahead))
    return true
  }

  /** The queue holds it delayed: what is done is passed over once it is due, what is not is due at once. */
  #deliveryAhead(ahead: ChunkAhead): ChunkDelivery {
    const { id: jobId, createdAtMs } = ahead.facts
    const hurry = async () => {
      const job = await Job.fromId<ChunkData>(this.#worker, chunkJobId(jobId, 0, 0)).catch(() => undefined)
      // Due already, perhaps.
      await job?.promote().catch(() => {})
    }
    return {
      jobId,
      run: 0,
      chunk: 0,
      ageMs: this.#options.now() - createdAtMs,
      share: 1,
      attempt: 1,
      lastAttempt: false,
      givenUp: undefined,
      ahead,
      complete: async () => {},
      fail: hurry,
      giveBack: hurry,
    }
  }

  /** Fetches nothing more. What is in hand goes on; what a fetch still brings is given back at once. */
  stopFetching(): void {
    this.#stopped = true
    this.#wake?.()
  }

  /** Stops, waits at most `limitMs` for what is in hand, and closes. Safe to call twice. */
  async close(limitMs: number): Promise<void> {
    this.stopFetching()
    await settledWithin(Promise.allSettled(this.#handling), limitMs)
    clearInterval(this.#renewal)
    // Forced: a polite close waits for a blocked fetch; this ends the connection under it.
    await settledWithin(this.#worker.close(true), 2000)
    await settledWithin(this.#fetching ?? Promise.resolve(), 2000)
    this.#redis.disconnect()
  }

  async #fetchLoop(): Promise<void> {
    let foundNothing = false
    while (!this.#stopped) {
      const waitMs = this.#options.hasRoom() ? (this.#options.neededInMs?.() ?? 0) : longestRestMs
      const supplied = waitMs === 0 && foundNothing && this.#options.isSupplied?.()
      if (waitMs > 0 || supplied) {
        const isOver = await this.#rest(supplied ? longestRestMs : waitMs)
        // What was found by one look holds until the next batch.
        if (!supplied || isOver) foundNothing = false
        continue
      }
      this.#unansweredSinceMs ??= this.#options.now()
      try {
        // Waits at the queue only after a look: for what lies there already, that is one round trip less.
        foundNothing = !(await this.#fetchOne(foundNothing))
        this.#unansweredSinceMs = undefined
      } catch (error) {
        if (this.#stopped) return
        this.#complain(error)
        await new Promise((resolve) => setTimeout(resolve, retryDelayMs))
      }
    }
  }

  /** Leaves the queue alone until something changes. Answers whether the limit came first. */
  async #rest(limitMs: number): Promise<boolean> {
    this.#unansweredSinceMs = undefined
    let timer: NodeJS.Timeout | undefined
    const isOver = await new Promise<boolean>((resolve) => {
      this.#wake = () => resolve(false)
      timer = setTimeout(resolve, Math.min(limitMs, longestRestMs), true)
    })
    clearTimeout(timer)
    return isOver
  }

  async #fetchOne(block: boolean): Promise<boolean> {
    const token = `${this.#options.workerId}:${this.#fetches++}`
    if (this.#fetches % oldestFetchedEvery === 0) await this.#letOldestPass()
    const job = await this.#worker.getNextJob(token, { block })
    if (!job?.id) return false
    const deliveries = this.#deliveries(job, job.id, token)
    if (this.#stopped) {
      await Promise.all(deliveries.map((delivery) => delivery.giveBack()))
      return true
    }
    this.#inHand.set(job.id, token)
    for (const delivery of deliveries) this.#handle(delivery)
    return true
  }

  #handle(delivery: ChunkDelivery): void {
    const handling = this.#options.handle(delivery).finally(() => this.#handling.delete(handling))
    this.#handling.add(handling)
  }

  /** Its priority becomes 0 and its place the first: so it stays ahead where it is given back. */
  async #letOldestPass(): Promise<void> {
    const { keys } = this.#worker
    const oldest = await this.#redis.mrOldestChunk(keys.wait ?? '', keys.prioritized ?? '', keys[''] ?? '')
    const job = oldest === null ? undefined : await Job.fromId<ChunkData>(this.#worker, oldest)
    // Gone since it was looked at: another worker finished it, or its job was canceled.
    await job?.changePriority({ priority: 0, lifo: true }).catch(() => {})
  }

  #deliveries(job: Job<ChunkData>, id: string, token: string): ChunkDelivery[] {
    const { with: others = [], ...first } = job.data
    const chunks = [first, ...others]
    const ends: (Error | 'completed' | 'given back')[] = []
    const end = async (how: Error | 'completed' | 'given back') => {
      if (ends.push(how) < chunks.length) return
      this.#inHand.delete(id)
      const failure = ends.find((one) => one instanceof Error)
      const ended = ends.includes('given back')
        ? job.moveToWait(token)
        : failure
          ? job.moveToFailed(failure, token, false)
          : job.moveToCompleted(1, token, false)
      // A lost lock means that another worker has the chunks now; the record decides, so this is no fault.
      await ended.catch((error: Error) => this.#complain(error))
    }
    const shared = {
      ageMs: this.#options.now() - job.timestamp,
      share: 1 / chunks.length,
      attempt: job.attemptsStarted,
      lastAttempt: job.attemptsMade + 1 >= (job.opts.attempts ?? 1),
      givenUp: job.deferredFailure,
      complete: () => end('completed'),
      fail: (error: Error) => end(error),
      giveBack: () => end('given back'),
    }
    return chunks.map(({ job: jobId, run, chunk }) => ({ jobId, run, chunk, ...shared }))
  }

  #renewLocks(): void {
    if (this.#inHand.size === 0) return
    const ids = [...this.#inHand.keys()]
    this.#worker.extendJobLocks(ids, [...this.#inHand.values()], this.#options.lockMs).then(
      (lost) => {
        const chunks = lost.filter((id) => this.#inHand.has(id))
        if (chunks.length > 0) this.#options.on?.({ type: 'locks-lost', model: this.#options.model, chunks })
      },
      (error: Error) => this.#complain(error),
    )
  }

  #complain(error: unknown): void {
    if (this.#stopped && this.#redis.status !== 'ready') return
    const fault = error instanceof Error ? error : new Error(String(error))
    this.#options.on?.({ type: 'consumer-error', model: this.#options.model, error: fault })
  }
}
