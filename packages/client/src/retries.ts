/** When to try again after a fault, and when to give up. Knows time and errors, nothing of HTTP. */
import type { Clock } from './clock.js'
import { MillraceApiError, MillraceConnectionError } from './errors.js'

/** Told of every pause before a new try. */
export type OnRetry = (fault: MillraceApiError | MillraceConnectionError, pauseMs: number) => void

const firstPauseMs = 250
const longestPauseMs = 8000
/** Of a server's own Retry-After: so that those who were refused together do not come back together. */
const spread = 0.1

export class Retries {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #onRetry: OnRetry
  #firstFaultAt: number | undefined
  #tries = 0

  /** @param limitMs no try begins later than this after the first fault; 0: never try again */
  constructor(clock: Clock, limitMs: number, onRetry: OnRetry) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#onRetry = onRetry
  }

  /** Something got through: what comes next is a new fault. */
  reset(): void {
    this.#firstFaultAt = undefined
    this.#tries = 0
  }

  /**
   * Pauses before the next try: as long as the server said, else exponentially longer, with jitter.
   * @throws `error` itself when trying again is of no use or would begin too late; the signal's reason
   */
  async pause(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw signal.reason
    if (!isPassing(error)) throw error
    const pauseMs = this.#pauseMs(error)
    const now = this.#clock.now()
    this.#firstFaultAt ??= now
    if (now + pauseMs > this.#firstFaultAt + this.#limitMs) throw error
    this.#tries += 1
    this.#onRetry(error, pauseMs)
    await this.#clock.sleep(pauseMs, signal)
  }

  #pauseMs(error: MillraceApiError | MillraceConnectionError): number {
    const chance = this.#clock.random()
    const saidS = error instanceof MillraceApiError ? error.retryAfterS : null
    if (saidS !== null) return Math.max(firstPauseMs, saidS * 1000) * (1 + spread * chance)
    return Math.min(longestPauseMs, firstPauseMs * 2 ** this.#tries) * (0.5 + chance / 2)
  }
}

function isPassing(error: unknown): error is MillraceApiError | MillraceConnectionError {
  return error instanceof MillraceConnectionError || (error instanceof MillraceApiError && error.retryable)
}
