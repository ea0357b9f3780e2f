/** Owns: an `on` sink that remembers every event it was given, so a test can wait for one without racing it. */
import { inspect } from 'node:util'
import { type WaitOptions, within } from './eventually.js'

export interface EventLog<E extends { type: string }> {
  /** Give this as the `on` option of what is tested. */
  readonly on: (event: E) => void
  /** Everything seen, oldest first. */
  readonly events: readonly E[]
  all<K extends E['type']>(type: K): Extract<E, { type: K }>[]
  /** The first event of this type (that fits `predicate`), whether it was seen already or is still to come. */
  next<K extends E['type']>(
    type: K,
    predicate?: (event: Extract<E, { type: K }>) => boolean,
    options?: WaitOptions,
  ): Promise<Extract<E, { type: K }>>
}

export function collectEvents<E extends { type: string }>(): EventLog<E> {
  const events: E[] = []
  const waiting = new Set<(event: E) => void>()

  const isType = <K extends E['type']>(event: E, type: K): event is Extract<E, { type: K }> =>
    event.type === type

  return {
    events,
    on(event) {
      events.push(event)
      for (const offer of waiting) offer(event)
    },
    all<K extends E['type']>(type: K) {
      return events.filter((event): event is Extract<E, { type: K }> => isType(event, type))
    },
    async next<K extends E['type']>(
      type: K,
      predicate: (event: Extract<E, { type: K }>) => boolean = () => true,
      options: WaitOptions = {},
    ) {
      const seen = events.find((event): event is Extract<E, { type: K }> => {
        return isType(event, type) && predicate(event)
      })
      if (seen !== undefined) return seen

      let offer: (event: E) => void = () => {}
      const found = new Promise<Extract<E, { type: K }>>((resolve, reject) => {
        offer = (event) => {
          try {
            if (isType(event, type) && predicate(event)) resolve(event)
          } catch (error) {
            reject(error)
          }
        }
        waiting.add(offer)
      })
      const timeoutMs = options.timeoutMs ?? 5000
      const message = () => {
        const same = inspect(events.filter((event) => event.type === type).slice(-3))
        const types = [...new Set(events.map((event) => event.type))].join(', ') || 'nothing'
        return `no fitting '${type}' event within ${timeoutMs} ms; seen: ${types}; last of this type: ${same}`
      }
      try {
        return await within(found, timeoutMs, message)
      } finally {
        waiting.delete(offer)
      }
    },
  }
}
