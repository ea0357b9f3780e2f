/**
 * Owns: waiting in tests, always bounded, always for something observable. The only place of the testkit where a
 * timer is allowed: a test body waits for an event or a condition, never for time.
 */
import type { EventEmitter } from 'node:events'
import { inspect } from 'node:util'

export interface WaitOptions {
  /** Default 5000. */
  timeoutMs?: number
  /** What is awaited, for the error message. */
  what?: string
}

const defaultTimeoutMs = 5000
const intervalMs = 10

/**
 * Calls `check` every 10 ms until it answers something truthy, and resolves to that. A check that throws counts as
 * "not yet"; the last answer or error is in the message when the time is up.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const endsAt = Date.now() + timeoutMs
  let last = 'the check never answered'
  for (;;) {
    try {
      const answer = await within(Promise.resolve(check()), Math.max(1, endsAt - Date.now()), () => last)
      if (answer) return answer as Exclude<T, false | null | undefined | 0 | ''>
      last = `it last answered ${inspect(answer)}`
    } catch (error) {
      if (!(error instanceof OutOfTime)) {
        last = `it last threw ${error instanceof Error ? error.message : inspect(error)}`
      }
    }
    if (Date.now() >= endsAt) {
      throw new Error(`${options.what ?? 'a condition'} did not come true within ${timeoutMs} ms: ${last}`)
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs))
  }
}

/** Resolves to the arguments of the next `type` that `emitter` emits. Call it before what causes the event. */
export function waitForEvent(
  emitter: EventEmitter,
  type: string,
  options: WaitOptions = {},
): Promise<unknown[]> {
  let listener: (...values: unknown[]) => void = () => {}
  const seen = new Promise<unknown[]>((resolve) => {
    listener = (...values) => resolve(values)
    emitter.once(type, listener)
  })
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  return within(
    seen,
    timeoutMs,
    () => `no ${options.what ?? `'${type}' event`} within ${timeoutMs} ms`,
  ).finally(() => emitter.off(type, listener))
}

/** Said by `within`; kept apart from what the awaited promise itself throws. */
export class OutOfTime extends Error {
  override readonly name = 'OutOfTime'
}

/** Settles as `promise` does, or rejects with OutOfTime after `timeoutMs`. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const bound = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new OutOfTime(message())), timeoutMs)
  })
  try {
    return await Promise.race([promise, bound])
  } finally {
    clearTimeout(timer)
  }
}
