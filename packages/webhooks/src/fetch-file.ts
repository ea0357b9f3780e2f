/**
 * One guarded GET: from an address that was checked, over a connection of its own, within a limit of time and of bytes
 * counted while they come. Knows nothing of what the file is: what a server says of its type is not even read.
 */
import type { AddressGuard, Target } from './address-guard.js'
import { clientFor, timeLimit } from './guarded-client.js'

export interface FetchOptions {
  guard: AddressGuard
  url: string
  maxBytes: number
  /** For all of it: resolving, connecting, the answer's last byte. */
  limitMs: number
  /** Ends the try; its outcome is then `failed`. */
  signal?: AbortSignal | undefined
}

export type FetchOutcome =
  | { kind: 'fetched'; bytes: Buffer }
  /** `refused`: this address may not be called. `failed`: there was no such file. */
  | { kind: 'refused' | 'failed' | 'too_large'; error: string }

/** Never throws. A redirect is a failure: who follows one calls an address that nobody gave. */
export async function fetchFile(options: FetchOptions): Promise<FetchOutcome> {
  const limit = timeLimit(options.limitMs, options.signal)
  try {
    const checked = await options.guard.check(options.url)
    if (checked.state === 'refused') return { kind: 'refused', error: checked.reason }
    if (checked.state === 'unresolved') return { kind: 'failed', error: checked.reason }
    return await get(checked.target, options, limit.signal)
  } catch (error) {
    return {
      kind: 'failed',
      error: limit.passed ? `took longer than ${options.limitMs} ms` : sayFault(error),
    }
  } finally {
    limit.clear()
  }
}

async function get(target: Target, options: FetchOptions, signal: AbortSignal): Promise<FetchOutcome> {
  const { maxBytes, limitMs } = options
  const client = clientFor(target, limitMs)
  try {
    const answer = await client.request({
      method: 'GET',
      path: target.url.pathname + target.url.search,
      headers: { 'user-agent': 'Millrace', accept: '*/*', 'accept-encoding': 'identity' },
      signal,
    })
    const { statusCode } = answer
    if (statusCode !== 200) {
      const what =
        statusCode >= 300 && statusCode < 400 ? `a redirect (${statusCode})` : `status ${statusCode}`
      return { kind: 'failed', error: `the server answered with ${what}` }
    }
    const tooLarge = { kind: 'too_large', error: `is larger than ${maxBytes} bytes` } as const
    if (Number(answer.headers['content-length'] ?? 0) > maxBytes) return tooLarge
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of answer.body) {
      size += chunk.length
      if (size > maxBytes) return tooLarge
      chunks.push(chunk)
    }
    return { kind: 'fetched', bytes: Buffer.concat(chunks, size) }
  } finally {
    await client.destroy()
  }
}

/** A client reads it: a code and no address. */
function sayFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? `the request failed: ${code}` : 'the request failed'
}
