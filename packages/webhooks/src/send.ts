/**
 * One guarded POST: to an address that was checked, over a connection of its own, within a time limit, and with a value
 * for an outcome whatever happens. Knows no job, no schedule and no signature.
 */
import type { AddressGuard, Target } from './address-guard.js'
import { clientFor, timeLimit } from './guarded-client.js'
import { retryAfterMs } from './retry-schedule.js'

export interface SendOptions {
  guard: AddressGuard
  url: string
  headers: Readonly<Record<string, string>>
  body: string | Uint8Array
  nowMs: number
  /** For all of it: resolving, connecting, sending, the answer. */
  limitMs?: number
  /** Ends the try; its outcome is then an error. */
  signal?: AbortSignal | undefined
}

export type SendOutcome =
  | { kind: 'answered'; statusCode: number; retryAfterMs: number | undefined }
  /** `refused`: this address may not be called. `failed`: there was no answer. */
  | { kind: 'refused' | 'failed'; error: string }

const defaultLimitMs = 15_000
/** Read so that the receiver can finish writing; nothing of it is kept. */
const answerLimitBytes = 64 * 1024

/** Never throws. A redirect is an answer like any other and never followed. */
export async function sendWebhook(options: SendOptions): Promise<SendOutcome> {
  const limit = timeLimit(options.limitMs ?? defaultLimitMs, options.signal)
  try {
    const checked = await options.guard.check(options.url)
    if (checked.state === 'refused') return { kind: 'refused', error: checked.reason }
    if (checked.state === 'unresolved') return { kind: 'failed', error: checked.reason }
    return await post(checked.target, options, limit.signal)
  } catch (error) {
    return { kind: 'failed', error: limit.passed ? 'no answer within the time limit' : sayFault(error) }
  } finally {
    limit.clear()
  }
}

async function post(target: Target, options: SendOptions, signal: AbortSignal): Promise<SendOutcome> {
  const client = clientFor(target, options.limitMs ?? defaultLimitMs)
  try {
    const answer = await client.request({
      method: 'POST',
      path: target.url.pathname + target.url.search,
      headers: { 'user-agent': 'Millrace', ...options.headers },
      body: options.body,
      signal,
    })
    const header = answer.headers['retry-after']
    // The status has been said: an answer that does not end, or is too long, changes nothing.
    await answer.body.dump({ limit: answerLimitBytes, signal }).catch(() => {})
    return {
      kind: 'answered',
      statusCode: answer.statusCode,
      retryAfterMs: retryAfterMs(typeof header === 'string' ? header : undefined, options.nowMs),
    }
  } finally {
    await client.destroy()
  }
}

/** For the delivery log, which the job's owner reads: a code and no address. */
function sayFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? `the request failed: ${code}` : 'the request failed'
}
