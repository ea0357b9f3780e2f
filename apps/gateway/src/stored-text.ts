/** A job with a record, as JSON text, with its deliveries where it has a webhook. */
import { storedJobText } from '@millrace/job-view'
import type { StoredJob } from '@millrace/jobs'
import type { GatewayContext } from './context.js'

/** @throws MillraceError queue_unavailable */
export async function storedText(job: StoredJob, context: GatewayContext): Promise<string> {
  const deliveries = job.webhook ? await context.deliveries.read(job.id) : []
  return storedJobText(job, context.texts, context.fleet.model(job.model), deliveries)
}
