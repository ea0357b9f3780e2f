/**
 * One subscriber connection of a process to one of the two Redis, however many channels it hears. Subscriptions outlive a lost connection; what
 * was said meanwhile is lost, so whoever listens is told of each return and reads the record then.
 */
import { closeRedis, openRedis, type RedisEvent, type RedisRole } from '@millrace/redis'
import type { Redis } from 'ioredis'

type Hear = (message: Buffer) => void

export interface SubscriberOptions {
  url: string
  /** Default `queue`. */
  role?: RedisRole
  on?: ((event: RedisEvent) => void) | undefined
}

export class Subscriber {
  readonly #redis: Redis
  readonly #heard = new Map<string, Set<Hear>>()
  readonly #back = new Set<() => void>()

  /** Does not wait for Redis: it connects in the background. */
  constructor(options: SubscriberOptions) {
    this.#redis = openRedis({
      url: options.url,
      role: options.role ?? 'queue',
      failFast: false,
      on: options.on,
    })
    // Ours below: ioredis' own leaves a rejection that nobody handles where we close while it is under way.
    this.#redis.options.autoResubscribe = false
    let connectedBefore = false
    this.#redis.on('ready', () => {
      if (connectedBefore) this.#subscribeAgain()
      connectedBefore = true
    })
    this.#redis.on('messageBuffer', (channel: Buffer, message: Buffer) => {
      for (const hear of this.#heard.get(channel.toString()) ?? []) hear(message)
    })
  }

  /**
   * Hears a channel from when `ready` resolves (at once where it is heard already) until `stop` is called. While Redis
   * is away `ready` waits for it.
   */
  listen(channel: string, hear: Hear): { ready: Promise<void>; stop: () => void } {
    const hearers = this.#heard.get(channel) ?? new Set()
    this.#heard.set(channel, hearers.add(hear))
    // Asked again for each: Redis answers at once where it is subscribed already, and so tells when it is.
    const ready = this.#redis.subscribe(channel).then(
      () => {},
      () => {
        // Only at close: until then the command waits for the connection.
      },
    )
    const stop = () => {
      if (!hearers.delete(hear) || hearers.size > 0) return
      this.#heard.delete(channel)
      this.#redis.unsubscribe(channel).catch(() => {})
    }
    return { ready, stop }
  }

  /** Calls `back` after each return of the connection. @returns what ends that */
  onBack(back: () => void): () => void {
    this.#back.add(back)
    return () => this.#back.delete(back)
  }

  #subscribeAgain(): void {
    const channels = [...this.#heard.keys()]
    const back = () => {
      for (const one of this.#back) one()
    }
    const subscribed = channels.length === 0 ? Promise.resolve() : this.#redis.subscribe(...channels)
    subscribed.then(back, () => {
      // The connection is lost once more, or closed: the next one subscribes.
    })
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }
}
