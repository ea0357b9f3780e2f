/** A job with a record, as JSON text, with its deliveries where it has a webhook. */
import { isTerminal } from '@millrace/contracts'
import { storedJobText } from '@millrace/job-view'
import type { StoredJob } from '@millrace/jobs'
import type { GatewayContext } from './context.js'
import { MadeLast } from './made-last.js'

/** Of a settled job: thousands may wait for one. */
const settledText = new MadeLast<StoredJob, string>()

/** @throws MillraceError queue_unavailable */
export async function storedText(job: StoredJob, context: GatewayContext): Promise<string> {
  const queue = context.fleet.model(job.model)
  // Deliveries go on after the end.
  if (job.webhook) return storedJobText(job, context.texts, queue, await context.deliveries.read(job.id))
  if (!isTerminal(job.status)) return storedJobText(job, context.texts, queue)
  return settledText.get(job, () => storedJobText(job, context.texts, queue))
}
