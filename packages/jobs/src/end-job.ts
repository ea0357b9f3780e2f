/** Ends a job from outside: settles its record, then tells whoever waits, its webhook and, of a cancel, the workers. */
import type { ErrorCode } from '@millrace/contracts'
import { tellCanceled } from './cancel-channel.js'
import type { ChunkQueues } from './chunk-queues.js'
import type { JobStore } from './job-store.js'
import type { JobWatch } from './job-watch.js'
import type { JobProgress, StoredJob } from './record.js'
import { settledChannel } from './settled-channel.js'
import { encodeSettled } from './settled-message.js'
import type { WebhookQueue } from './webhook-queue.js'

export interface EndJobContext {
  store: Pick<JobStore, 'settle' | 'publish'>
  queues: Pick<ChunkQueues, 'remove'>
  watch: Pick<JobWatch, 'at'>
  webhooks: Pick<WebhookQueue, 'add'>
  now: () => number
}

/** After a crash between settling and telling, the webhook is told by whoever sweeps. */
const sweepAfterMs = 5000

/**
 * @returns the job's progress where this call settled it; undefined where it was settled before or is gone
 * @throws MillraceError queue_unavailable
 */
export async function endJob(
  job: StoredJob,
  status: 'canceled' | 'expired',
  error: { code: ErrorCode; detail: string },
  context: EndJobContext,
): Promise<JobProgress | undefined> {
  const { store, queues, watch, webhooks, now } = context
  const event = `job.${status}` as const
  const tells = job.webhook?.events.includes(event)
  if (tells) await watch.at(job.id, now() + sweepAfterMs)
  const outcome = await store.settle(job, status, error, now())
  if (outcome.state !== 'settled-now') return undefined
  const { progress } = outcome
  const chunks = Array.from({ length: job.chunks }, (_, chunk) => chunk)
  await Promise.allSettled([
    store.publish(settledChannel, encodeSettled([{ jobId: job.id, progress, outputs: null }])),
    status === 'canceled' ? tellCanceled(store, job.id) : undefined,
    queues.remove(job.model, { jobId: job.id, run: progress.run, chunks }),
    tells ? webhooks.add({ job: job.id, run: progress.run, event }) : undefined,
  ])
  return progress
}
