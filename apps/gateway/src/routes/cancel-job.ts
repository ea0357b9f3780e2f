/** POST /v1/jobs/{id}/cancel: nothing more is computed for this job; what other jobs wait for goes on. */
import { createRoute } from '@hono/zod-openapi'
import { isTerminal, jobSchema, MillraceError } from '@millrace/contracts'
import { endJob, type StoredJob, storedJob } from '@millrace/jobs'
import type { GatewayContext, RequestContext } from '../context.js'
import { readStoredJob } from '../read-job.js'
import { storedJson } from '../stored-json.js'
import { jobParams, problems } from './answers.js'
import { canceledJob } from './examples.js'
import { jobAnswer } from './submit-job.js'

export const cancelJobRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/cancel',
  tags: ['Jobs'],
  summary: 'Cancel a job',
  description:
    'Canceling a canceled job answers the same again; a job that is settled otherwise stays as it is (409).',
  request: { params: jobParams },
  responses: {
    200: {
      description: 'The canceled job',
      content: { 'application/json': { schema: jobSchema, example: canceledJob } },
    },
    ...problems('unauthorized', 'forbidden', 'job_not_found', 'job_settled', 'job_gone', 'queue_unavailable'),
  },
})

export function cancelJob(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const job = await readStoredJob(c.req.param('id') ?? '', c.get('tenant').name, 'job_settled', context)
    const canceled = isTerminal(job.status) ? job : await cancel(job, context)
    if (canceled.status !== 'canceled') {
      throw new MillraceError('job_settled', `The job '${job.id}' is settled: ${canceled.status}`)
    }
    return jobAnswer(c, 200, job.id, await storedJson(canceled, context))
  }
}

async function cancel(job: StoredJob, context: GatewayContext): Promise<StoredJob> {
  const error = { code: 'job_canceled', detail: 'the job was canceled' } as const
  const progress = await endJob(job, 'canceled', error, context)
  if (progress) return storedJob(job, progress, job.outputs)
  // Somebody else settled it between our reading and our writing.
  return readStoredJob(job.id, job.tenant, 'job_settled', context)
}
