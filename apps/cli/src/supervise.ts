/**
 * When a process that ended is started again, how long after, and when that is pointless. Pure: it starts nothing
 * and has no timers; the clock is passed in.
 */

export interface RestartLimits {
  /** Doubles with every failure in a row, up to `maxDelayMs`. */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  /** Ready for this long: failures before it are forgotten. */
  readonly healthyMs: number
  /** So many failures in a row of a process that was never ready: it is given up. */
  readonly startAttempts: number
}

export const defaultRestartLimits: RestartLimits = {
  firstDelayMs: 1000,
  maxDelayMs: 30_000,
  healthyMs: 60_000,
  startAttempts: 4,
}

/** sysexits.h EX_CONFIG: the process says that its configuration is wrong. Trying again changes nothing. */
export const configFaultExit = 78

export type Verdict =
  | { readonly action: 'restart'; readonly delayMs: number }
  | { readonly action: 'give_up'; readonly reason: string }

export class RestartPolicy {
  readonly #limits: RestartLimits
  readonly #now: () => number
  #failures = 0
  #readyAt: number | undefined
  #wasEverReady = false

  constructor(limits: RestartLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
  }

  /** The process does its work now. */
  ready(): void {
    this.#readyAt = this.#now()
    this.#wasEverReady = true
  }

  /**
   * The process ended without being asked to. One that was ready once is never given up: what broke it (a full disk,
   * an edited file) may be mended while the rest of the fleet works on.
   */
  ended(exitCode: number | null): Verdict {
    const wasHealthy = this.#readyAt !== undefined && this.#now() - this.#readyAt >= this.#limits.healthyMs
    this.#readyAt = undefined
    this.#failures = wasHealthy ? 1 : this.#failures + 1
    if (!this.#wasEverReady) {
      if (exitCode === configFaultExit) return { action: 'give_up', reason: 'its configuration is wrong' }
      if (this.#failures >= this.#limits.startAttempts) {
        return { action: 'give_up', reason: `it failed ${this.#failures} times in a row at start-up` }
      }
    }
    const delayMs = Math.min(this.#limits.firstDelayMs * 2 ** (this.#failures - 1), this.#limits.maxDelayMs)
    return { action: 'restart', delayMs }
  }
}
