/** POST /v1/jobs/{id}/retry: a failed or expired job is tried again under its own id. What was computed stays. */
import { createRoute } from '@hono/zod-openapi'
import { jobSchema, MillraceError } from '@millrace/contracts'
import { type StoredJob, storedJob } from '@millrace/jobs'
import { admitOrSay } from '../admit-or-say.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { readStoredJob } from '../read-job.js'
import { setHeader } from '../set-header.js'
import { storedJson } from '../stored-json.js'
import { jobParams, problems } from './answers.js'
import { queuedJob } from './examples.js'
import { jobAnswer } from './submit-job.js'

export const retryJobRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/retry',
  tags: ['Jobs'],
  summary: 'Try a failed or expired job again',
  request: { params: jobParams },
  responses: {
    202: {
      description: 'The job, queued again',
      content: { 'application/json': { schema: jobSchema, example: queuedJob } },
    },
    ...problems(
      'unauthorized',
      'forbidden',
      'job_not_found',
      'job_not_retryable',
      'job_gone',
      'queue_full',
      'queue_memory',
      'no_worker',
      'queue_unavailable',
    ),
  },
})

export function retryJob(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const { store, queues, list, watch, now } = context
    const job = await readStoredJob(
      c.req.param('id') ?? '',
      c.get('tenant').name,
      'job_not_retryable',
      context,
    )
    if (!isRetryable(job)) throw notRetryable(job)
    await admitOrSay(job.model, job.chunks, context.submit)
    // After a crash between record and queue the same request queues what is not there.
    const outcome = await store.retry(job, now())
    if (outcome.state === 'gone')
      throw new MillraceError('job_gone', `The inputs of job '${job.id}' are gone`)
    if (outcome.state !== 'queued') throw notRetryable(job)
    const { facts, progress, chunks } = outcome
    if (job.webhook || job.lifeLimitMs !== null) {
      await watch.at(job.id, Math.min(progress.startByMs, progress.settleByMs ?? progress.startByMs) + 1)
    }
    // The list keeps it for as long as its new run may last.
    await list.add(facts, now())
    await queues.add(job.model, { jobId: job.id, run: progress.run, chunks }, job.priority)
    setHeader(c, 'location', `/v1/jobs/${job.id}`)
    const queued = storedJob(facts, progress, new Map())
    return jobAnswer(c, 202, job.id, await storedJson(queued, context))
  }
}

/** Also while it waits since it was tried again: who got no answer may ask once more. */
function isRetryable({ status, run }: StoredJob): boolean {
  return status === 'failed' || status === 'expired' || (status === 'queued' && run > 0)
}

function notRetryable({ id, status }: StoredJob): MillraceError {
  return new MillraceError('job_not_retryable', `The job '${id}' is ${status}`)
}
