/** A connection to an address that was checked, and to no other, and the time that one exchange over it may take. */
import type { LookupFunction } from 'node:net'
import { buildConnector, Client } from 'undici'
import type { Target } from './address-guard.js'

export interface TimeLimit {
  readonly signal: AbortSignal
  readonly passed: boolean
  clear(): void
}

/** By hand: AbortSignal.any would leave something behind on `stopping`, which lives as long as the process. */
export function timeLimit(limitMs: number, stopping: AbortSignal | undefined): TimeLimit {
  const controller = new AbortController()
  let passed = false
  const stop = () => controller.abort()
  const timer = setTimeout(() => {
    passed = true
    stop()
  }, limitMs)
  stopping?.addEventListener('abort', stop)
  if (stopping?.aborted) stop()
  return {
    signal: controller.signal,
    get passed() {
      return passed
    },
    clear() {
      clearTimeout(timer)
      stopping?.removeEventListener('abort', stop)
    },
  }
}

/** Host header and TLS name are the URL's; the address is the one that was checked. */
export function clientFor(target: Target, limitMs: number): Client {
  const connect = buildConnector({
    // Not asked for a literal address: that one is called as it was checked.
    lookup: answerWith(target.addresses),
    autoSelectFamily: true,
    timeout: limitMs,
  })
  return new Client(target.url.origin, { connect, pipelining: 0 })
}

/** A resolver that knows one answer, so that nobody is asked a second time and says something else. */
function answerWith(addresses: readonly string[]): LookupFunction {
  const known = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_name, options, done) => {
    const [first] = known
    if (options.all) done(null, known)
    else done(null, first?.address ?? '', first?.family)
  }
}
