/**
 * One way to open a Redis connection: bounded retries, bounded waits, typed events for coming and going. Knows
 * nothing of what is stored.
 */
import type { Redis, RedisOptions } from 'ioredis'
import { TurnWritesRedis } from './turn-writes.js'

/** Which of the two instances: the words of the logs. */
export type RedisRole = 'queue' | 'cache'

export type RedisEvent =
  | { type: 'redis-away'; role: RedisRole; error: Error }
  | { type: 'redis-back'; role: RedisRole }
  | { type: 'redis-error'; role: RedisRole; error: Error }

export interface OpenRedisOptions {
  /** `redis://`, `rediss://`, or `unix:///path/of.sock`, each with `?db=1` and the like where needed. */
  url: string
  role: RedisRole
  /** Fail at once while Redis is away (gateway, cache) instead of queueing commands until it is back. */
  failFast: boolean
  /** Longest wait for one answer. Absent: no limit (blocking reads, pub/sub). */
  commandTimeoutMs?: number
  on?: ((event: RedisEvent) => void) | undefined
}

/** Reconnect after 50 ms, 100 ms, ... never later than 1 s: an outage must not outlive itself by much. */
export function retryDelayMs(attempt: number): number {
  return Math.min(attempt * 50, 1000)
}

/** The ioredis options behind `openRedis`; BullMQ's own connections are made from them too. */
export function redisOptions(
  options: Omit<OpenRedisOptions, 'url' | 'role' | 'on'>,
): RedisOptions & { replyMapping: 'legacy' } {
  return {
    replyMapping: 'legacy',
    lazyConnect: true,
    connectTimeout: 2000,
    keepAlive: 10_000,
    retryStrategy: retryDelayMs,
    enableOfflineQueue: !options.failFast,
    maxRetriesPerRequest: options.failFast ? 1 : null,
    ...(options.commandTimeoutMs === undefined ? {} : { commandTimeout: options.commandTimeoutMs }),
  }
}

/** ioredis knows a Unix socket by its bare path. */
function addressOf(url: string): string {
  const { protocol, pathname, search } = new URL(url)
  return protocol === 'unix:' ? decodeURIComponent(pathname) + search : url
}

/** Opens a connection and does not wait for it. An away Redis is an event, once per outage, and never an exception. */
export function openRedis(options: OpenRedisOptions): Redis {
  const redis = new TurnWritesRedis(addressOf(options.url), redisOptions(options))
  let away = false
  redis.on('error', (error: Error) => {
    if (away) return
    if (redis.status === 'ready') {
      options.on?.({ type: 'redis-error', role: options.role, error })
      return
    }
    away = true
    options.on?.({ type: 'redis-away', role: options.role, error })
  })
  redis.on('close', () => {
    if (away || redis.status === 'end') return
    away = true
    options.on?.({ type: 'redis-away', role: options.role, error: new Error('connection closed') })
  })
  redis.on('ready', () => {
    if (away) options.on?.({ type: 'redis-back', role: options.role })
    away = false
  })
  redis.connect().catch(() => {
    // The 'error' listener has told it already; ioredis goes on trying by its retry strategy.
  })
  return redis
}

/** Waits until the first connection stands, at most `limitMs`. Resolves to whether it does. */
export function firstReady(redis: Redis, limitMs: number): Promise<boolean> {
  if (redis.status === 'ready') return Promise.resolve(true)
  return new Promise((resolve) => {
    const done = () => finish(true)
    const timer = setTimeout(() => finish(false), limitMs)
    function finish(ready: boolean) {
      clearTimeout(timer)
      redis.off('ready', done)
      resolve(ready)
    }
    redis.once('ready', done)
  })
}

/** Closes politely where there is a connection and at once where there is none; never hangs, never throws. */
export async function closeRedis(redis: Redis, limitMs = 1000): Promise<void> {
  if (redis.status !== 'ready') return redis.disconnect()
  const limit = setTimeout(() => redis.disconnect(), limitMs)
  await redis.quit().catch(() => redis.disconnect())
  clearTimeout(limit)
}
