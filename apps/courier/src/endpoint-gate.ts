/**
 * Keeps one endpoint's trouble its own: at most so many tries at a time per origin, and a rest after failures in a row.
 * Pure: the clock is passed in. Per courier; several couriers each keep their own.
 */

/** May we call this endpoint now? If not, when to come back; `busy` and `resting` are no tries. */
export type Pass = { state: 'free' } | { state: 'busy' | 'resting'; delayMs: number }

/** What a try said about its endpoint: `none` where it was never reached by our own doing. */
export type Health = 'good' | 'bad' | 'none'

export interface EndpointGateOptions {
  /** Tries at a time. */
  limit?: number
  /** Failures in a row before a rest. */
  failures?: number
  restMs?: number
}

interface Endpoint {
  inHand: number
  failures: number
  /** Until when it rests; 0 when it does not. Past, it stays until one probe has said how it is. */
  restsUntilMs: number
  probing: boolean
  /** What a try takes, a moving average. */
  tryMs: number
  /** When the next one that is put off should come. */
  nextTurnMs: number
}

const defaults = { limit: 8, failures: 5, restMs: 30_000 }
const firstGuessMs = 250
/** What is put off comes back one after the other at the endpoint's own pace, within this time. */
const longestSpreadMs = 60_000
const shortestDelayMs = 100
/** Known endpoints; beyond, the one least lately met and idle is forgotten, and with it only its bad name. */
const maxEndpoints = 10_000

export class EndpointGate {
  readonly #options: Required<EndpointGateOptions>
  readonly #endpoints = new Map<string, Endpoint>()

  constructor(options: EndpointGateOptions = {}) {
    this.#options = { ...defaults, ...options }
  }

  get size(): number {
    return this.#endpoints.size
  }

  /** `free` counts as in hand until `leave`. */
  enter(origin: string, nowMs: number): Pass {
    const endpoint = this.#endpoint(origin)
    const resting = endpoint.restsUntilMs > 0
    if (resting && (endpoint.probing || nowMs < endpoint.restsUntilMs)) {
      return {
        state: 'resting',
        delayMs: this.#turn(endpoint, Math.max(nowMs, endpoint.restsUntilMs)) - nowMs,
      }
    }
    if (endpoint.inHand >= this.#options.limit) {
      return { state: 'busy', delayMs: this.#turn(endpoint, nowMs) - nowMs }
    }
    endpoint.inHand += 1
    endpoint.probing = resting
    return { state: 'free' }
  }

  /** Answers what this try changed: the endpoint now rests, or works again. */
  leave(origin: string, health: Health, tookMs: number, nowMs: number): 'rests' | 'works' | undefined {
    const endpoint = this.#endpoint(origin)
    const rested = endpoint.restsUntilMs > 0
    endpoint.inHand = Math.max(0, endpoint.inHand - 1)
    endpoint.probing = false
    if (health === 'none') return undefined
    endpoint.tryMs += (tookMs - endpoint.tryMs) * 0.2
    if (health === 'good') {
      endpoint.failures = 0
      endpoint.restsUntilMs = 0
      return rested ? 'works' : undefined
    }
    endpoint.failures += 1
    if (endpoint.failures < this.#options.failures) return undefined
    endpoint.restsUntilMs = nowMs + this.#options.restMs
    return rested ? undefined : 'rests'
  }

  /** The next turn in line, from `fromMs` on. */
  #turn(endpoint: Endpoint, fromMs: number): number {
    const paceMs = endpoint.tryMs / this.#options.limit
    const next = Math.max(endpoint.nextTurnMs + paceMs, fromMs + shortestDelayMs)
    endpoint.nextTurnMs = Math.round(Math.min(next, fromMs + longestSpreadMs))
    return endpoint.nextTurnMs
  }

  #endpoint(origin: string): Endpoint {
    const known = this.#endpoints.get(origin)
    // Taken out and put back: a Map's order is then from the least lately met on.
    if (known) this.#endpoints.delete(origin)
    else this.#forgetOne()
    const endpoint = known ?? {
      inHand: 0,
      failures: 0,
      restsUntilMs: 0,
      probing: false,
      tryMs: firstGuessMs,
      nextTurnMs: 0,
    }
    this.#endpoints.set(origin, endpoint)
    return endpoint
  }

  #forgetOne(): void {
    if (this.#endpoints.size < maxEndpoints) return
    for (const [origin, { inHand }] of this.#endpoints) {
      if (inHand > 0) continue
      this.#endpoints.delete(origin)
      return
    }
  }
}
