/**
 * Owns: how many tokens a model of this worker computes per second while it is busy: while at least one batch is under
 * way, whatever it waits for. Time without work does not count, so an idle worker is not slow. Pure; the clock is passed in.
 */

/** What is older than this much busy time counts half, and so on: the rate is of about the last 20 s. */
const halfLifeMs = 10_000

export class TokenRate {
  readonly #now: () => number
  #underWay = 0
  #since = 0
  #busyMs = 0
  #tokens = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** A batch sets out. */
  begin(): void {
    if (this.#underWay === 0) this.#since = this.#now()
    this.#underWay += 1
  }

  /** It is back. @param tokens real ones that it computed; 0 where it failed */
  end(tokens: number): void {
    const now = this.#now()
    // A clock that is set back must not take time away.
    this.#busyMs += Math.max(0, now - this.#since)
    this.#since = now
    this.#underWay -= 1
    this.#tokens += tokens
    if (this.#busyMs < 2 * halfLifeMs) return
    this.#busyMs /= 2
    this.#tokens /= 2
  }

  /** Per second; null until some work took some time. */
  get perSecond(): number | null {
    return this.#busyMs > 0 && this.#tokens > 0 ? (this.#tokens * 1000) / this.#busyMs : null
  }
}
