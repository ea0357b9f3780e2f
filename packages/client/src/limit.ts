/** A limit on one wait: a signal that aborts with the caller's, or when the time is up, and leaves nothing behind. */

/** The longest delay that setTimeout knows, 24.8 days; anything above would fire at once. */
const longestTimerMs = 2 ** 31 - 1

export interface Limit {
  readonly signal: AbortSignal
  /** Lets go of the timer and of the caller's signal. Always call it. */
  end(): void
}

/**
 * `AbortSignal.any` would say this shorter, but a signal that lives as long as a program (Ctrl-C) would then gather
 * one dependent per request.
 * @param late makes the reason for an abort after `ms`
 */
export function limit(outer: AbortSignal | undefined, ms: number, late: () => Error): Limit {
  const controller = new AbortController()
  const abort = () => controller.abort(outer?.reason)
  if (outer?.aborted) abort()
  outer?.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => controller.abort(late()), Math.min(ms, longestTimerMs))
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', abort)
    },
  }
}
