/**
 * The consuming side of webhooks: hands each delivery to the courier and moves it by how its try ended. BullMQ's own loop
 * is enough here: a delivery is all waiting, so a count bounds what is in hand.
 */
import { openRedis, type RedisEvent } from '@millrace/redis'
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { settledWithin } from './settled-within.js'
import { type WebhookData, webhookQueueName, webhookQueuePrefix } from './webhook-queue.js'

/** How one try ended, in the courier's words. */
export type WebhookTryEnd =
  | { kind: 'done' }
  /** Counts as a try. */
  | { kind: 'retry'; delayMs: number; reason: string }
  /** Nothing was tried: come back later. */
  | { kind: 'later'; delayMs: number }
  /** Nothing came of it because we stop: another courier takes it at once. */
  | { kind: 'give-back' }
  | { kind: 'give-up'; reason: string }

export type WebhookConsumerEvent = RedisEvent | { type: 'consumer-error'; error: Error }

export interface WebhookConsumerOptions {
  url: string
  /** Shown on the dashboard beside each delivery. */
  courierId: string
  /** Deliveries in hand at a time. */
  concurrency: number
  lockMs: number
  stalledCheckMs: number
  /**
   * @param attempt which try this is, from 1; one cut off by a crash is repeated under its number
   * @param stopping aborted when this courier has no more time: end soon, by `give-back` where nothing is decided
   */
  handle: (data: WebhookData, attempt: number, stopping: AbortSignal) => Promise<WebhookTryEnd>
  on?: ((event: WebhookConsumerEvent) => void) | undefined
}

/** A delivery outlives any number of couriers: the courier's crash is never the webhook's fault. */
const maxStalledCount = 1_000_000
/** After a fault of our own. */
const faultDelayMs = 5000

export class WebhookConsumer {
  readonly #options: WebhookConsumerOptions
  readonly #redis: Redis
  readonly #worker: Worker<WebhookData, 1>
  readonly #outOfTime = new AbortController()
  #stopped = false

  constructor(options: WebhookConsumerOptions) {
    this.#options = options
    this.#redis = openRedis({ url: options.url, role: 'queue', failFast: false, on: options.on })
    this.#worker = new Worker<WebhookData, 1>(
      webhookQueueName,
      (job, token) => this.#process(job, token ?? ''),
      {
        connection: this.#redis,
        prefix: webhookQueuePrefix,
        name: options.courierId,
        autorun: false,
        concurrency: options.concurrency,
        lockDuration: options.lockMs,
        stalledInterval: options.stalledCheckMs,
        maxStalledCount,
        drainDelay: 2,
        runRetryDelay: 1000,
        settings: {
          backoffStrategy: (_attempt, _type, error) =>
            error instanceof Retry ? error.delayMs : faultDelayMs,
        },
      },
    )
    this.#worker.on('error', (error) => this.#complain(error))
  }

  start(): void {
    if (!this.#stopped) this.#worker.run().catch((error: Error) => this.#complain(error))
  }

  /** Takes nothing more, waits at most `limitMs` for what is in hand, gives the rest back. Safe to call twice. */
  async close(limitMs: number): Promise<void> {
    this.#stopped = true
    const closed = this.#worker.close()
    await settledWithin(closed, limitMs)
    this.#outOfTime.abort()
    await settledWithin(closed, 2000)
    this.#redis.disconnect()
  }

  async #process(job: Job<WebhookData, 1>, token: string): Promise<1> {
    const end = this.#stopped ? ({ kind: 'give-back' } as const) : await this.#handle(job)
    switch (end.kind) {
      case 'done':
        return 1
      case 'retry':
        throw new Retry(end.reason, end.delayMs)
      case 'later':
        await job.moveToDelayed(Date.now() + end.delayMs, token)
        throw new DelayedError()
      case 'give-back':
        await job.moveToWait(token)
        throw new WaitingError()
      case 'give-up':
        throw new UnrecoverableError(end.reason)
    }
  }

  async #handle(job: Job<WebhookData, 1>): Promise<WebhookTryEnd> {
    try {
      return await this.#options.handle(job.data, job.attemptsMade + 1, this.#outOfTime.signal)
    } catch (error) {
      this.#complain(error)
      throw error
    }
  }

  #complain(error: unknown): void {
    if (this.#stopped && this.#redis.status !== 'ready') return
    const fault = error instanceof Error ? error : new Error(String(error))
    this.#options.on?.({ type: 'consumer-error', error: fault })
  }
}

/** Carries the delay to the backoff strategy: moving and counting are then one command of BullMQ's. */
class Retry extends Error {
  override readonly name = 'Retry'
  readonly delayMs: number
  constructor(reason: string, delayMs: number) {
    super(reason)
    this.delayMs = delayMs
  }
}
