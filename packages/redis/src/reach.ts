/** What goes wrong between us and the queue Redis, in our words: one place for whoever speaks to it. */
import { MillraceError } from '@millrace/contracts'

/** @throws MillraceError queue_unavailable, queue_memory; one of ours passes as it is */
export async function reach<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw reachError(error)
  }
}

export function reachError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  if (error instanceof Error && error.message.startsWith('OOM ')) {
    return new MillraceError('queue_memory', 'The queue store is full', { cause: error, retryAfterS: 5 })
  }
  return new MillraceError('queue_unavailable', 'The queue store cannot be reached', {
    cause: error,
    retryAfterS: 1,
  })
}
