/**
 * The claims this worker holds: renewed while their items are computed, released when their results are stored. A
 * worker that dies stops renewing, and the lease gives its items to whoever waits.
 */
import type { ResultCache } from '@millrace/cache'

export class Claims {
  readonly #held = new Set<string>()
  readonly #cache: ResultCache
  readonly #leaseMs: number
  readonly owner: string
  readonly #renewal: NodeJS.Timeout

  constructor(cache: ResultCache, owner: string, leaseMs: number) {
    this.#cache = cache
    this.owner = owner
    this.#leaseMs = leaseMs
    this.#renewal = setInterval(() => {
      if (this.#held.size > 0) void cache.renewClaims(this.#held, owner, leaseMs)
    }, leaseMs / 3)
  }

  /** For each key: its result, or the claim, which is then held; or that another worker computes it now. */
  async take(keys: readonly string[]): ReturnType<ResultCache['getOrClaim']> {
    const states = await this.#cache.getOrClaim(keys, this.owner, this.#leaseMs)
    for (const [i, { state }] of states.entries()) {
      const key = keys[i]
      if (state === 'claimed' && key !== undefined) this.#held.add(key)
    }
    return states
  }

  /** Holds what was claimed in this worker's name just now. */
  hold(keys: readonly string[]): void {
    for (const key of keys) this.#held.add(key)
  }

  /** Stores results and releases the claims of `keys` behind them, in one go. */
  async settle(answers: readonly { key: string; value: Buffer }[], keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#held.delete(key)
    await this.#cache.setMany(answers, { keys, owner: this.owner })
  }

  /** Never throws: a claim that could not be released lapses. */
  async release(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    for (const key of keys) this.#held.delete(key)
    await this.#cache.releaseClaims(keys, this.owner)
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal)
    await this.release([...this.#held])
  }
}
