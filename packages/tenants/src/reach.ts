/** What goes wrong between us and the queue Redis, in our words. */
import { MillraceError } from '@millrace/contracts'

/** @throws MillraceError queue_unavailable, queue_memory */
export async function reach<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause
    if (cause instanceof Error && cause.message.startsWith('OOM ')) {
      throw new MillraceError('queue_memory', 'The queue store is full', { cause, retryAfterS: 5 })
    }
    throw new MillraceError('queue_unavailable', 'The queue store cannot be reached', {
      cause,
      retryAfterS: 1,
    })
  }
}
