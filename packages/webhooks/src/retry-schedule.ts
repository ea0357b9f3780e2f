/** When a delivery is tried again. Pure: the clock and the dice are passed in. */

const second = 1000
const minute = 60 * second
const hour = 60 * minute

/** Wait before the 1st, 2nd, ... try, in milliseconds: eight retries over a day and a half. */
export const retryDelaysMs: readonly number[] = [
  0,
  5 * second,
  30 * second,
  2 * minute,
  10 * minute,
  1 * hour,
  3 * hour,
  8 * hour,
  24 * hour,
]

/** Nobody makes us wait longer than this. */
const longestWaitMs = 24 * hour
/** Up to this share is added, so that what failed together does not come back together. */
const jitter = 0.2

/**
 * Wait until the next try, in milliseconds; undefined when there is none.
 * @param attempt the try that failed, from 1
 * @param random in [0, 1)
 * @param retryAfterMs what the receiver asked for; only ever lengthens the wait
 */
export function nextDelayMs(
  attempt: number,
  random: number,
  retryAfterMs?: number,
  delaysMs: readonly number[] = retryDelaysMs,
): number | undefined {
  const planned = delaysMs[attempt]
  if (planned === undefined) return undefined
  return Math.round(Math.max(planned * (1 + jitter * random), retryAfterMs ?? 0))
}

/** A `Retry-After` header (RFC 9110, 10.2.3: seconds or an HTTP date) in milliseconds, at most 24 h; undefined for anything else. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? ''
  const waitMs = /^\d+$/.test(text) ? Number(text) * second : httpDateMs(text) - nowMs
  if (Number.isNaN(waitMs)) return undefined
  return Math.min(Math.max(waitMs, 0), longestWaitMs)
}

/** Only the one form that servers must send: `Date.parse` would take nearly anything for a date. */
function httpDateMs(text: string): number {
  return /^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text) ? Date.parse(text) : Number.NaN
}
