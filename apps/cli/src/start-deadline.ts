/** The patience of a start-up: names what is still missing after a while, and ends the waiting at the limit. */
import type { OnFleetEvent } from './fleet-event.js'
import { LaunchError } from './launch-error.js'

export interface Patience {
  readonly remindMs: number
  readonly limitMs: number
}

export class StartDeadline {
  /** Aborted by a requested stop or by the limit. */
  readonly signal: AbortSignal
  readonly #pending = new Map<string, string>()
  readonly #timers: NodeJS.Timeout[]

  constructor({ remindMs, limitMs }: Patience, stop: AbortSignal, on: OnFleetEvent) {
    const over = new AbortController()
    this.signal = AbortSignal.any([stop, over.signal])
    const remind = () => on({ type: 'waiting', seconds: remindMs / 1000, missing: this.#missing() })
    const giveUp = () => {
      const missing = this.#missing().map((line) => `  - ${line}`)
      over.abort(
        new LaunchError(`Not up after ${limitMs / 1000} s. Still missing:\n${missing.join('\n')}\nStopped.`),
      )
    }
    this.#timers = [setTimeout(remind, remindMs), setTimeout(giveUp, limitMs)]
  }

  /** Waits for a part that reports itself missing until then. @throws the signal's reason; what `part` rejects with */
  async until<T>(name: string, part: Promise<T>): Promise<T> {
    this.#pending.set(name, this.#pending.get(name) ?? '')
    const result = await this.#orAborted(part)
    this.#pending.delete(name)
    return result
  }

  /** The latest reason why a part is not ready, for the reminder. */
  said(name: string, text: string): void {
    this.#pending.set(name, text)
  }

  done(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #orAborted<T>(part: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const abort = () => reject(this.signal.reason)
      if (this.signal.aborted) abort()
      this.signal.addEventListener('abort', abort, { once: true })
      part.then(resolve, reject).finally(() => this.signal.removeEventListener('abort', abort))
    })
  }

  #missing(): string[] {
    return [...this.#pending].map(([name, said]) => (said === '' ? name : `${name}: ${said.slice(0, 300)}`))
  }
}
