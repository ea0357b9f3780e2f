/** News of one job's events: that there is something to read, in its record or its stream, never what. */
import { keysOf } from './record.js'
import type { Subscriber } from './subscriber.js'

export interface EventWatch {
  /** Resolves when news cannot be missed any more. */
  readonly ready: Promise<void>
  /** Resolves when there may be something new since the last call, or after the limit. */
  next(limitMs: number): Promise<void>
  stop(): void
}

export function watchEvents(subscriber: Subscriber, jobId: string): EventWatch {
  let news = false
  let wake = () => {}
  const hear = () => {
    news = true
    wake()
  }
  // The scripts publish under the stream's own name.
  const { ready, stop } = subscriber.listen(keysOf(jobId).events, hear)
  const forget = subscriber.onBack(hear)
  return {
    ready,
    next: (limitMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => wake(), limitMs)
        wake = () => {
          clearTimeout(timer)
          news = false
          wake = () => {}
          resolve()
        }
        if (news) wake()
      }),
    stop: () => {
      wake()
      forget()
      stop()
    },
  }
}
