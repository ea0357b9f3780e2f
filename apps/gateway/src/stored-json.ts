/** A job with a record, as JSON, with its deliveries where it has a webhook. */
import { isTerminal } from '@millrace/contracts'
import { storedJobJson } from '@millrace/job-view'
import type { StoredJob } from '@millrace/jobs'
import type { GatewayContext } from './context.js'
import { MadeLast } from './made-last.js'

/** Of a settled job: thousands may wait for one. */
const settledJson = new MadeLast<StoredJob, Buffer<ArrayBuffer>>()

/** @throws MillraceError queue_unavailable */
export async function storedJson(job: StoredJob, context: GatewayContext): Promise<Buffer<ArrayBuffer>> {
  const queue = context.fleet.model(job.model)
  // Deliveries go on after the end.
  if (job.webhook) return storedJobJson(job, context.texts, queue, await context.deliveries.read(job.id))
  if (!isTerminal(job.status)) return storedJobJson(job, context.texts, queue)
  return settledJson.get(job, () => storedJobJson(job, context.texts, queue))
}
