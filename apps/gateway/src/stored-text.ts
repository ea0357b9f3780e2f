/** A job with a record, as JSON text, with its deliveries where it has a webhook. */
import { isTerminal } from '@millrace/contracts'
import { storedJobText } from '@millrace/job-view'
import type { StoredJob } from '@millrace/jobs'
import type { GatewayContext } from './context.js'

/** Of settled jobs, for as long as anyone holds them: thousands may wait for one. */
const settledTexts = new WeakMap<StoredJob, string>()

/** @throws MillraceError queue_unavailable */
export async function storedText(job: StoredJob, context: GatewayContext): Promise<string> {
  const queue = context.fleet.model(job.model)
  // Deliveries go on after the end.
  if (job.webhook) return storedJobText(job, context.texts, queue, await context.deliveries.read(job.id))
  if (!isTerminal(job.status)) return storedJobText(job, context.texts, queue)
  const text = settledTexts.get(job) ?? storedJobText(job, context.texts, queue)
  settledTexts.set(job, text)
  return text
}
