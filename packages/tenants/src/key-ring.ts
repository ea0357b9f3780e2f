/**
 * All keys as one process knows them: read from Redis as a whole, and again only when their version has changed. Most
 * requests ask nobody; a process asks Redis once in 10 s, and at most ten times a second however many unknown keys
 * are tried. Its size is the number of keys ever made, which no stranger can raise. Knows nothing of what a key may do.
 */
import type { StoredKey } from './api-key.js'

export interface KeySource {
  /** Changes with every change of a key; null where no key was ever made. */
  version(): Promise<string | null>
  all(): Promise<ReadonlyMap<string, StoredKey>>
}

/** A revoked key works at most this long. */
export const freshMs = 10_000
/** While Redis is away, known keys work this long after it was last heard. */
export const awayLimitMs = 60_000
/** A new key works after this long at the latest. */
export const newKeyMs = 100
/** A Redis that failed is not asked again for this long. */
export const failedMs = 1000

export class KeyRing {
  readonly #source: KeySource
  readonly #now: () => number
  #keys: ReadonlyMap<string, StoredKey> = new Map()
  #version: string | null | undefined
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #failure: { atMs: number; error: unknown } | undefined
  #refreshing: Promise<void> | undefined
  #everAny = false

  constructor(source: KeySource, now: () => number) {
    this.#source = source
    this.#now = now
  }

  /** @throws what the source threw, where the answer would be older than it may be */
  async get(id: string): Promise<StoredKey | undefined> {
    await this.#atMost(freshMs, awayLimitMs)
    // It may have been made a moment ago.
    if (!this.#keys.has(id)) await this.#atMost(newKeyMs, newKeyMs)
    return this.#keys.get(id)
  }

  /**
   * Whether a key was ever made, revoked and expired ones included: the end of the last key must not open the doors, nor
   * must a Redis that lost its data. "None" holds for as long as Redis is away: a key can only be made through it.
   * @throws what the source threw, where it has never answered
   */
  async any(): Promise<boolean> {
    if (!this.#everAny) await this.#atMost(freshMs, Number.POSITIVE_INFINITY)
    return this.#everAny
  }

  /** Makes what is known at most `freshForMs` old; where the source fails, at most `limitMs`. */
  async #atMost(freshForMs: number, limitMs: number): Promise<void> {
    if (this.#isWithin(freshForMs)) return
    try {
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined
      })
      await this.#refreshing
    } catch (error) {
      if (this.#version === undefined || !this.#isWithin(limitMs)) throw error
    }
  }

  async #refresh(): Promise<void> {
    const nowMs = this.#now()
    // One fault for all who ask within a second: a Redis that hangs must not make each of them wait.
    if (this.#failure && Math.abs(nowMs - this.#failure.atMs) < failedMs) throw this.#failure.error
    try {
      // The version first: what changes in between is read again next time.
      const version = await this.#source.version()
      if (version !== this.#version) this.#keys = await this.#source.all()
      this.#version = version
      this.#everAny ||= version !== null
      this.#checkedAtMs = nowMs
      this.#failure = undefined
    } catch (error) {
      this.#failure = { atMs: this.#now(), error }
      throw error
    }
  }

  /** A clock that was set back makes what is known old, not young. */
  #isWithin(limitMs: number): boolean {
    const ageMs = this.#now() - this.#checkedAtMs
    return (ageMs >= 0 && ageMs < limitMs) || limitMs === Number.POSITIVE_INFINITY
  }
}
