/** Tells every worker that a job was canceled, so that it drops what it holds of it. Who misses it computes in vain. */
import type { JobStore } from './job-store.js'
import type { Subscriber } from './subscriber.js'

const channel = 'mr:canceled'

/** @throws MillraceError queue_unavailable */
export function tellCanceled(store: Pick<JobStore, 'publish'>, jobId: string): Promise<void> {
  return store.publish(channel, Buffer.from(jobId))
}

/** @returns what ends the listening */
export function onCanceled(subscriber: Subscriber, hear: (jobId: string) => void): () => void {
  return subscriber.listen(channel, (message) => hear(message.toString())).stop
}
