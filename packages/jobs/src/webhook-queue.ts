/**
 * The producing side of webhooks: who has something to tell adds a BullMQ job that names a job, a run and an event, and
 * nothing else. Knows no address and no secret.
 */
import { randomUUID } from 'node:crypto'
import type { WebhookEvent } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent, reach, reachError } from '@millrace/redis'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { settledWithin } from './settled-within.js'

/** What a BullMQ job of this queue holds. */
export interface WebhookData {
  job: string
  /** 0, and one more for each retry of the whole job. */
  run: number
  event: WebhookEvent
}

export interface WebhookQueueOptions {
  url: string
  /** The gateway fails fast while Redis is away; a worker waits for it. */
  role: 'gateway' | 'worker'
  on?: ((event: RedisEvent) => void) | undefined
}

export const webhookQueuePrefix = '{mr:webhooks}'
export const webhookQueueName = 'webhooks'
const addTimeoutMs = { gateway: 2000, worker: 120_000 }
/**
 * A kept id swallows a second add, which is wanted: who adds again after a crash must not have it told twice. The
 * courier's schedule ends a delivery; `attempts` only bounds what its own faults can cost.
 */
const jobOptions = {
  attempts: 20,
  backoff: { type: 'courier' },
  stackTraceLimit: 1,
  removeOnComplete: { age: 3600, count: 5000 },
  removeOnFail: { age: 86_400, count: 1000 },
}

/** BullMQ's id of a delivery: the same for whoever adds it. */
export function webhookJobId({ job, run, event }: WebhookData): string {
  return `${job}-${run}-${event}`
}

export class WebhookQueue {
  readonly #redis: Redis
  readonly #role: WebhookQueueOptions['role']
  /** The BullMQ queue itself: for the dashboard. */
  readonly queue: Queue<WebhookData>

  private constructor(redis: Redis, role: WebhookQueueOptions['role']) {
    this.#redis = redis
    this.#role = role
    this.queue = new Queue<WebhookData>(webhookQueueName, {
      connection: redis,
      prefix: webhookQueuePrefix,
      defaultJobOptions: jobOptions,
      streams: { events: { maxLen: 1000 } },
    })
    // Told already by the connection's own events.
    this.queue.on('error', () => {})
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect({ url, role, on }: WebhookQueueOptions): Promise<WebhookQueue> {
    const failFast = role === 'gateway'
    const redis = openRedis({ url, role: 'queue', failFast, commandTimeoutMs: addTimeoutMs[role], on })
    await firstReady(redis, 2000)
    return new WebhookQueue(redis, role)
  }

  get healthy(): boolean {
    return this.#redis.status === 'ready'
  }

  /** Has an event told, once: adding it again changes nothing. @throws MillraceError queue_unavailable, queue_memory */
  async add(data: WebhookData): Promise<void> {
    await this.#add(data, webhookJobId(data))
  }

  /** Has an event told once more, from the first try on. @throws MillraceError queue_unavailable, queue_memory */
  async redeliver(data: WebhookData): Promise<void> {
    await this.#add(data, `${webhookJobId(data)}-${randomUUID().slice(0, 8)}`)
  }

  /** Deliveries not under way: due ones, and those whose next try is later. @throws MillraceError queue_unavailable */
  async depth(): Promise<{ waiting: number; delayed: number }> {
    const counts = await this.#bounded(() => this.queue.getJobCounts('waiting', 'delayed'))
    return { waiting: counts.waiting ?? 0, delayed: counts.delayed ?? 0 }
  }

  async close(): Promise<void> {
    // A queue that never saw Redis waits for it at close; the connection's end below releases it.
    if (this.healthy) await settledWithin(this.queue.close(), 1000)
    else this.queue.close().catch(() => {})
    await closeRedis(this.#redis)
  }

  async #add(data: WebhookData, jobId: string): Promise<void> {
    await this.#bounded(() => this.queue.add('webhook', data, { jobId }))
  }

  /** BullMQ waits for a connection without limit: a gateway says at once that there is none, and nobody waits forever. */
  async #bounded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#role === 'gateway' && !this.healthy) {
      throw reachError(new Error(`connection is ${this.#redis.status}`))
    }
    const limitMs = addTimeoutMs[this.#role]
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    })
    return reach(() => Promise.race([work(), limit])).finally(() => clearTimeout(timer))
  }
}
