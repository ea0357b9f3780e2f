/**
 * The gateway's ear for settled jobs, on its one subscriber connection. A wait ends with the message, with its limit, with
 * its signal, or early after a reconnect, when a message may have been missed; whoever waits then reads the record.
 */
import { decodeSettled, type SettledJob } from './settled-message.js'
import type { Subscriber } from './subscriber.js'

export const settledChannel = 'mr:settled'

/** Thousands may wait for one job. */
const perTurn = 64

type Listener = (job: SettledJob | undefined) => void

export class SettledChannel {
  readonly #waiting = new Map<string, Set<Listener>>()
  readonly #stop: () => void

  constructor(subscriber: Subscriber) {
    this.#stop = subscriber.listen(settledChannel, (message) => this.#hear(message)).stop
    subscriber.onBack(() => this.#releaseAll())
  }

  /** How many waits are open; each holds a timer and a listener. */
  get waiting(): number {
    let waiting = 0
    for (const listeners of this.#waiting.values()) waiting += listeners.size
    return waiting
  }

  /**
   * Resolves with the settled job, or with undefined when the limit, the signal or a reconnect came first.
   * Register before the work is queued, or the message may be gone before anyone listens.
   */
  waitFor(jobId: string, limitMs: number, signal?: AbortSignal): Promise<SettledJob | undefined> {
    return new Promise((resolve) => {
      const finish: Listener = (job) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        const listeners = this.#waiting.get(jobId)
        listeners?.delete(finish)
        if (listeners?.size === 0) this.#waiting.delete(jobId)
        resolve(job)
      }
      const abort = () => finish(undefined)
      const timer = setTimeout(abort, limitMs)
      const listeners = this.#waiting.get(jobId) ?? new Set()
      this.#waiting.set(jobId, listeners.add(finish))
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
    })
  }

  close(): void {
    this.#stop()
    this.#releaseAll()
  }

  #hear(message: Buffer): void {
    if (this.#waiting.size === 0) return
    for (const job of decodeSettled(message, (id) => this.#waiting.has(id))) {
      this.#answer(job, [...(this.#waiting.get(job.jobId) ?? [])])
    }
  }

  /** Some in each turn of the event loop: the first have their answers while the last are still being made. */
  #answer(job: SettledJob, listeners: Listener[]): void {
    for (const finish of listeners.splice(0, perTurn)) finish(job)
    if (listeners.length > 0) setImmediate(() => this.#answer(job, listeners))
  }

  #releaseAll(): void {
    for (const listeners of [...this.#waiting.values()])
      for (const finish of [...listeners]) finish(undefined)
  }
}
