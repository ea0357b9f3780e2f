/**
 * Owns: the form of every `on` in Millrace: one handler of a discriminated union `{ type: 'x', ... }`. Logic emits;
 * logs and metrics listen, and nothing they do can break the logic. Imports nothing, so that it costs nothing.
 */

export type EventHandler<E extends { type: string }> = (event: E) => void

/** Told of the first fault of each handler; later ones of the same handler are swallowed. */
export type OnListenerError = (error: unknown, eventType: string) => void

/**
 * One handler out of many (logs, metrics) that gives each event to all of them and never throws, whether a handler
 * throws or its promise rejects. Absent handlers are skipped.
 */
export function safeEmitter<E extends { type: string }>(
  handlers: EventHandler<E> | undefined | readonly (EventHandler<E> | undefined)[],
  onListenerError: OnListenerError = warnOfListener,
): EventHandler<E> {
  const list = (typeof handlers === 'function' ? [handlers] : (handlers ?? [])).filter(
    (one) => one !== undefined,
  )
  const faulty = new Set<EventHandler<E>>()

  function report(handler: EventHandler<E>, error: unknown, eventType: string): void {
    if (faulty.has(handler)) return
    faulty.add(handler)
    try {
      onListenerError(error, eventType)
    } catch {
      // There is nobody left to tell.
    }
  }

  return (event) => {
    for (const handler of list) {
      try {
        const answer: unknown = handler(event)
        if (answer instanceof Promise) answer.catch((error) => report(handler, error, event.type))
      } catch (error) {
        report(handler, error, event.type)
      }
    }
  }
}

function warnOfListener(error: unknown, eventType: string): void {
  process.emitWarning(`A listener of '${eventType}' failed: ${error}`, 'MillraceListenerWarning')
}
