/**
 * The gateway's ear: one subscriber connection, however many wait. A wait ends with the message, with its limit, with
 * its signal, or early after a reconnect, when a message may have been missed; whoever waits then reads the record.
 */
import { closeRedis, openRedis, type RedisEvent } from '@millrace/redis'
import type { Redis } from 'ioredis'
import { decodeSettled, type SettledJob } from './settled-message.js'

export const settledChannel = 'mr:settled'

type Listener = (job: SettledJob | undefined) => void

export interface SettledChannelOptions {
  url: string
  on?: ((event: RedisEvent) => void) | undefined
}

export class SettledChannel {
  readonly #redis: Redis
  readonly #waiting = new Map<string, Set<Listener>>()

  private constructor(options: SettledChannelOptions) {
    this.#redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: false,
      on: (event) => {
        options.on?.(event)
        if (event.type === 'redis-back') this.#releaseAll()
      },
    })
    this.#redis.on('messageBuffer', (_channel: Buffer, message: Buffer) => this.#hear(message))
  }

  /** Does not wait for Redis: the subscription is made as soon as there is a connection, and again after each loss. */
  static connect(options: SettledChannelOptions): SettledChannel {
    const channel = new SettledChannel(options)
    channel.#redis.subscribe(settledChannel).catch(() => {
      // Only at close: until then the command waits for the connection.
    })
    return channel
  }

  /** How many waits are open; each holds a timer and a listener. */
  get waiting(): number {
    let waiting = 0
    for (const listeners of this.#waiting.values()) waiting += listeners.size
    return waiting
  }

  /**
   * Resolves with the settled job, or with undefined when the limit, the signal or a reconnect came first.
   * Register before the work is queued, or the message may be gone before anyone listens.
   */
  waitFor(jobId: string, limitMs: number, signal?: AbortSignal): Promise<SettledJob | undefined> {
    return new Promise((resolve) => {
      const finish: Listener = (job) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        const listeners = this.#waiting.get(jobId)
        listeners?.delete(finish)
        if (listeners?.size === 0) this.#waiting.delete(jobId)
        resolve(job)
      }
      const abort = () => finish(undefined)
      const timer = setTimeout(abort, limitMs)
      const listeners = this.#waiting.get(jobId) ?? new Set()
      this.#waiting.set(jobId, listeners.add(finish))
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  }

  async close(): Promise<void> {
    this.#releaseAll()
    await closeRedis(this.#redis)
  }

  #hear(message: Buffer): void {
    if (this.#waiting.size === 0) return
    for (const job of decodeSettled(message, (id) => this.#waiting.has(id))) {
      for (const finish of [...(this.#waiting.get(job.jobId) ?? [])]) finish(job)
    }
  }

  #releaseAll(): void {
    for (const listeners of [...this.#waiting.values()])
      for (const finish of [...listeners]) finish(undefined)
  }
}
