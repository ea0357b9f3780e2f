/**
 * Owns: how fast a model's queue drains, measured only while there is something to drain: an idle fleet finishes
 * little and is not slow for it. Pure; the clock is passed in.
 */

const windowMs = 15_000
/** Workers announce every 2 s: a shorter span would measure the announcements. */
const shortestSpanMs = 4000

export class DrainRate {
  readonly #doneBefore = new Map<string, number>()
  #total = 0
  #readings: { atMs: number; total: number }[] = []
  #perSecond = 0

  /** @param done chunks finished since its start, by worker  @param busy whether chunks wait */
  note(done: ReadonlyMap<string, number>, busy: boolean, nowMs: number): void {
    for (const [worker, count] of done) {
      const before = this.#doneBefore.get(worker)
      // None: a new worker, whose past is not ours to count. More than now: it began again.
      if (before !== undefined) this.#total += count >= before ? count - before : count
      this.#doneBefore.set(worker, count)
    }
    for (const worker of this.#doneBefore.keys()) if (!done.has(worker)) this.#doneBefore.delete(worker)
    if (!busy) {
      this.#readings = []
      return
    }
    this.#readings.push({ atMs: nowMs, total: this.#total })
    this.#readings = this.#readings.filter(({ atMs }) => nowMs - atMs <= windowMs)
    const first = this.#readings[0]
    if (first === undefined || nowMs - first.atMs < shortestSpanMs) return
    this.#perSecond = ((this.#total - first.total) * 1000) / (nowMs - first.atMs)
  }

  /** Chunks per second, as last measured under load; 0 when it never was, or when nothing drained. */
  get perSecond(): number {
    return this.#perSecond
  }
}
