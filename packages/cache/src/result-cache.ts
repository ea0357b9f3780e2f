/**
 * The result cache: an in-process LRU over the cache Redis, and claims. It may forget, or be away, at any moment: that
 * is a miss and an event, never an error, because a miss only costs a computation.
 */
import { closeRedis, firstReady, openRedis, type RedisEvent, settingFaults } from '@millrace/redis'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { defineClaimCommands } from './claim-commands.js'
import { isResult } from './item-result.js'

export type CacheEvent = RedisEvent | { type: 'cache-skipped'; operation: string; error: Error }

export interface ResultCacheOptions {
  url: string
  /** Size of the in-process cache in bytes; 0 for none. */
  lruBytes: number
  /** How long a result may stay in Redis. */
  ttlS: number
  on?: ((event: CacheEvent) => void) | undefined
}

export type GetOrClaim = { state: 'hit'; value: Buffer } | { state: 'claimed' } | { state: 'busy' }

/** Whom Redis is to tell of a result that is missing, and to claim it for. */
export interface Ask {
  owner: string
  leaseMs: number
  channel: string
  /** Called only where this process does not know the result. */
  message: (key: string) => string
}

export type GetOrAsk =
  | { state: 'hit'; value: Buffer; inProcess: boolean }
  | { state: 'asked' | 'unheard' | 'missing' }

/** What one lookup cost and gave, for metrics: keys found in process, in Redis, nowhere. */
export interface Lookup {
  values: (Buffer | undefined)[]
  lruHits: number
  redisHits: number
}

/** What one entry takes beside its value: key, Buffer, its allocation, the cache's own lists (586-713 measured). */
const lruEntryOverheadBytes = 650
const commandTimeoutMs = 500

export class ResultCache {
  readonly #redis: Redis
  readonly #lru: LRUCache<string, Buffer> | undefined
  readonly #ttlMs: number
  readonly #on: (event: CacheEvent) => void

  private constructor(redis: Redis, options: ResultCacheOptions) {
    this.#redis = redis
    this.#ttlMs = options.ttlS * 1000
    this.#on = options.on ?? (() => {})
    this.#lru =
      options.lruBytes === 0
        ? undefined
        : new LRUCache({
            maxSize: options.lruBytes,
            sizeCalculation: (value) => value.byteLength + lruEntryOverheadBytes,
          })
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: ResultCacheOptions): Promise<ResultCache> {
    const redis = openRedis({
      url: options.url,
      role: 'cache',
      failFast: true,
      commandTimeoutMs,
      on: options.on,
    })
    defineClaimCommands(redis)
    await firstReady(redis, 2000)
    return new ResultCache(redis, options)
  }

  get healthy(): boolean {
    return this.#redis.status === 'ready'
  }

  /** Sentences to say aloud at start. @throws when Redis is away */
  settingFaults(): Promise<string[]> {
    return settingFaults(this.#redis, 'cache')
  }

  /** The values that the LRU or one MGET knows, in the keys' order. */
  async getMany(keys: readonly string[]): Promise<Lookup> {
    const values: (Buffer | undefined)[] = keys.map((key) => this.#lru?.get(key))
    const missing: number[] = []
    for (let i = 0; i < keys.length; i++) if (values[i] === undefined) missing.push(i)
    const lruHits = keys.length - missing.length
    if (missing.length === 0) return { values, lruHits, redisHits: 0 }
    let redisHits = 0
    const found = await this.#attempt('get', () =>
      this.#redis.mgetBuffer(missing.map((i) => resultKey(keys[i] ?? ''))),
    )
    for (const [at, bytes] of (found ?? []).entries()) {
      const i = missing[at]
      const key = i === undefined ? undefined : keys[i]
      if (i === undefined || key === undefined || !bytes || !isResult(bytes)) continue
      values[i] = this.#keep(key, bytes)
      redisHits += 1
    }
    return { values, lruHits, redisHits }
  }

  /**
   * The value that the LRU or Redis knows; where none is known, the owner is told and has the claim (`asked`), unless it does
   * not listen (`unheard`) or somebody else has the claim (`missing`, as where Redis is away).
   */
  async getOrAsk(key: string, { owner, leaseMs, channel, message }: Ask): Promise<GetOrAsk> {
    const held = this.#lru?.get(key)
    if (held) return { state: 'hit', value: held, inProcess: true }
    const told = message(key)
    const answer = await this.#attempt('ask', () =>
      this.#redis.mrGetOrAskBuffer(resultKey(key), claimKey(key), owner, leaseMs, channel, told),
    )
    if (answer === 1) return { state: 'asked' }
    if (answer === -1) return { state: 'unheard' }
    if (typeof answer !== 'object' || !isResult(answer)) return { state: 'missing' }
    return { state: 'hit', value: this.#keep(key, answer), inProcess: false }
  }

  /** What Redis answered as a value of its own, which this process knows from now on. */
  #keep(key: string, bytes: Buffer): Buffer {
    const value = owned(bytes)
    this.#lru?.set(key, value)
    return value
  }

  /** Stores results, then releases the claims that `release` names; in that order, in one step. */
  async setMany(
    entries: readonly { key: string; value: Buffer }[],
    release: { keys: readonly string[]; owner: string } = { keys: [], owner: '' },
  ): Promise<void> {
    if (entries.length + release.keys.length > 0) await this.#store('set', entries, release)
  }

  /**
   * For each key its result, or the claim to compute it, or the news that another owner is computing it. With Redis
   * away everything counts as claimed: computing twice is allowed, losing work is not.
   */
  async getOrClaim(keys: readonly string[], owner: string, leaseMs: number): Promise<GetOrClaim[]> {
    if (keys.length === 0) return []
    const answers = await this.#attempt('claim', () =>
      this.#redis.mrGetOrClaimBuffer(
        2 * keys.length,
        ...keys.flatMap((key) => [resultKey(key), claimKey(key)]),
        owner,
        leaseMs,
      ),
    )
    if (answers === undefined) return keys.map(() => ({ state: 'claimed' }))
    return answers.map((answer) => {
      if (typeof answer === 'number') return { state: answer === 1 ? 'claimed' : 'busy' }
      return isResult(answer) ? { state: 'hit', value: owned(answer) } : { state: 'claimed' }
    })
  }

  async renewClaims(keys: Iterable<string>, owner: string, leaseMs: number): Promise<void> {
    await this.#attempt('renew', () =>
      Promise.all(Array.from(keys, (key) => this.#redis.mrRenewClaim(claimKey(key), owner, leaseMs))),
    )
  }

  async releaseClaims(keys: readonly string[], owner: string): Promise<void> {
    await this.#store('release', [], { keys, owner })
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }

  async #store(
    operation: string,
    entries: readonly { key: string; value: Buffer }[],
    release: { keys: readonly string[]; owner: string },
  ): Promise<void> {
    await this.#attempt(operation, () =>
      this.#redis.mrStoreResults(
        entries.length + release.keys.length,
        ...entries.map(({ key }) => resultKey(key)),
        ...release.keys.map(claimKey),
        release.owner,
        this.#ttlMs,
        ...entries.map(({ value }) => value),
      ),
    )
  }

  async #attempt<T>(operation: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      this.#on({
        type: 'cache-skipped',
        operation,
        error: error instanceof Error ? error : new Error(String(error)),
      })
      return undefined
    }
  }
}

// One hash tag for both: a script reads and writes the two together.
function resultKey(key: string): string {
  return `mr:{${key}}:result`
}

function claimKey(key: string): string {
  return `mr:{${key}}:claim`
}

/** Copied out of the reply's socket buffer, which one cached value would otherwise keep alive. */
function owned(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
