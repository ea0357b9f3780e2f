/**
 * Input tokens per tenant and minute, counted on the cache Redis for all gateways together. A window begins with its
 * first request and lasts 60 s. While that Redis is away each gateway counts for itself: a tenant then has its limit at
 * each of them, which is better than none at all. Knows nothing of keys or HTTP.
 */
import { MillraceError } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent } from '@millrace/redis'
import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { takeTokensScript } from './tenant-commands.js'

/** What a tenant has left in this window. */
export interface TokenBudget {
  /** Tokens per window. */
  limit: number
  remaining: number
  /** Whole seconds until the window ends. */
  resetS: number
}

/** rate_limited: come back when the window is over. body_too_large: larger than any window, so never to come back. */
export class TokensRefused extends MillraceError {
  readonly budget: TokenBudget

  constructor(code: 'rate_limited' | 'body_too_large', detail: string, budget: TokenBudget) {
    super(code, detail, code === 'rate_limited' ? { retryAfterS: Math.max(1, budget.resetS) } : {})
    this.budget = budget
  }
}

export interface RateLimitsOptions {
  /** Of the cache Redis. */
  url: string
  on?: ((event: RedisEvent) => void) | undefined
}

const windowS = 60
const commandTimeoutMs = 500

export class RateLimits {
  readonly #redis: Redis
  /** By limit. The limiters of one tenant count on one key of Redis. */
  readonly #limiters = new Map<number, RateLimiterRedis>()

  private constructor(redis: Redis) {
    this.#redis = redis
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: RateLimitsOptions): Promise<RateLimits> {
    const redis = openRedis({
      url: options.url,
      role: 'cache',
      failFast: true,
      commandTimeoutMs,
      on: options.on,
    })
    await firstReady(redis, 2000)
    return new RateLimits(redis)
  }

  /**
   * Takes tokens from the tenant's window, or none where fewer are left.
   * @param tokens a whole number, 0 or more; 0 only asks what is left
   * @throws TokensRefused rate_limited (429, retryAfterS), body_too_large (413) for more than the whole limit
   */
  async consume(tenant: string, tokens: number, limitPerMinute: number): Promise<TokenBudget> {
    const limiter = this.#limiter(limitPerMinute)
    const tooMany = tokens > limitPerMinute
    const { taken, budget } = await take(limiter, tenant, tooMany ? 0 : tokens)
    if (tooMany) {
      const detail = `${tokens} input tokens; tenant '${tenant}' may send ${limitPerMinute} a minute, so send fewer at once`
      throw new TokensRefused('body_too_large', detail, budget)
    }
    if (!taken) {
      const detail = `${tokens} input tokens; ${budget.remaining} of ${limitPerMinute} are left for the next ${budget.resetS} s`
      throw new TokensRefused('rate_limited', detail, budget)
    }
    return budget
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }

  #limiter(limit: number): RateLimiterRedis {
    const known = this.#limiters.get(limit)
    if (known) return known
    const window = { points: limit, duration: windowS, keyPrefix: 'mr:tokens' }
    const limiter = new RateLimiterRedis({
      ...window,
      storeClient: this.#redis,
      rejectIfRedisNotReady: true,
      customIncrTtlLuaScript: takeTokensScript,
      insuranceLimiter: new FairMemoryLimiter(window),
    })
    this.#limiters.set(limit, limiter)
    return limiter
  }
}

/** The library counts what it refuses; here, as in take-tokens.lua, who is refused has paid nothing. */
class FairMemoryLimiter extends RateLimiterMemory {
  override async consume(key: string | number, points?: number): Promise<RateLimiterRes> {
    try {
      return await super.consume(key, points)
    } catch (refusal) {
      await super.reward(key, points)
      throw refusal
    }
  }
}

/** Both limiters answer, and both refuse, with the count that these tokens make; refused ones are not in it. */
async function take(limiter: RateLimiterRedis, tenant: string, tokens: number) {
  const outcome = await limiter.consume(tenant, tokens).then(
    (seen) => ({ taken: true, seen, used: seen.consumedPoints }),
    (refusal: unknown) => {
      if (!(refusal instanceof RateLimiterRes)) throw refusal
      return { taken: false, seen: refusal, used: refusal.consumedPoints - tokens }
    },
  )
  const budget: TokenBudget = {
    limit: limiter.points,
    remaining: Math.max(0, limiter.points - outcome.used),
    resetS: Math.max(0, Math.ceil(outcome.seen.msBeforeNext / 1000)),
  }
  return { taken: outcome.taken, budget }
}
