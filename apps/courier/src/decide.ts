/** What an answer means for a delivery. Pure. */
import { nextDelayMs, type SendOutcome } from '@millrace/webhooks'
import type { Health } from './endpoint-gate.js'

export type Decision =
  | { outcome: 'delivered' }
  | { outcome: 'will_retry'; delayMs: number }
  | { outcome: 'given_up' }

/** The last try comes while the job can still be read, with this much to spare. */
const spareMs = 5000

/**
 * 2xx is delivered; 410 and an address that may not be called are the end; anything else, redirects too, is tried again.
 * @param leftMs how long the job can still be read: a try that would come later is moved up to then, but never before
 *   the time that the receiver asked for
 */
export function decide(
  sent: SendOutcome,
  attempt: number,
  context: { leftMs: number; random: number; delaysMs?: readonly number[] | undefined },
): Decision {
  if (sent.kind === 'answered' && sent.statusCode >= 200 && sent.statusCode < 300)
    return { outcome: 'delivered' }
  if (sent.kind === 'refused') return { outcome: 'given_up' }
  if (sent.kind === 'answered' && sent.statusCode === 410) return { outcome: 'given_up' }
  const askedMs = sent.kind === 'answered' ? (sent.retryAfterMs ?? 0) : 0
  const plannedMs = nextDelayMs(attempt, context.random, askedMs, context.delaysMs)
  if (plannedMs === undefined) return { outcome: 'given_up' }
  const latestMs = context.leftMs - spareMs
  if (latestMs <= 0 || latestMs < askedMs) return { outcome: 'given_up' }
  return { outcome: 'will_retry', delayMs: Math.min(plannedMs, latestMs) }
}

/** Whether the endpoint itself is in trouble. A 404 is not: other paths of the same origin may be well. */
export function healthOf(sent: SendOutcome): Health {
  if (sent.kind === 'answered') return sent.statusCode >= 500 || sent.statusCode === 429 ? 'bad' : 'good'
  return sent.kind === 'refused' ? 'none' : 'bad'
}
