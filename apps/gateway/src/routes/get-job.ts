/** GET /v1/jobs/{id}: a job as it is now or, with a wait, once it is settled. */
import { createRoute } from '@hono/zod-openapi'
import { jobSchema, MillraceError } from '@millrace/contracts'
import { knownJobText, storedJobText } from '@millrace/job-view'
import type { JobProgress, StoredJob } from '@millrace/jobs'
import { storedJob } from '@millrace/jobs'
import { z } from 'zod'
import { clientGone } from '../client-gone.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { KnownResults } from '../known-results.js'
import { waitSeconds } from '../prefer.js'
import { setHeader } from '../set-header.js'
import { settledJob } from '../settled-job.js'
import { problems } from './answers.js'
import { jobAnswer } from './submit-job.js'

export const getJobRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}',
  summary: 'Read a job',
  description:
    'With `Prefer: wait=N` or `?wait=N` the answer waits up to N seconds for the job to be settled.',
  request: {
    params: z.object({ id: z.string() }),
    query: z.object({ wait: z.coerce.number().int().min(0).optional() }),
  },
  responses: {
    200: {
      description: 'The job, settled or not',
      headers: { 'X-Job-Id': { schema: { type: 'string' } } },
      content: { 'application/json': { schema: jobSchema } },
    },
    ...problems('job_not_found', 'queue_unavailable', 'result_rebuilding'),
  },
})

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
export function getJob(context: GatewayContext) {
  const knownResults = new KnownResults(context)
  return async (c: RequestContext): Promise<Response> => {
    const id = c.req.param('id') ?? ''
    const notFound = new MillraceError('job_not_found', `There is no job '${id}', or it has expired`)
    if (!uuid.test(id)) throw notFound
    const waitS = waitSeconds(c.req.header('prefer'), c.req.query('wait'), context.config.WAIT_LIMIT_S)
    if (waitS > 0 && c.req.query('wait') === undefined) setHeader(c, 'preference-applied', `wait=${waitS}`)
    const signal = AbortSignal.any([clientGone(c), context.stopping])
    const job = await settledJob(id, waitS * 1000, context, signal)
    if (!job) throw notFound
    if (job.kind === 'known') {
      return jobAnswer(c, 200, id, knownJobText(job, await knownResults.of(job), context.texts))
    }
    const current = await expireIfLate(job, context)
    return jobAnswer(c, 200, id, storedJobText(current, context.texts, context.fleet.model(job.model)))
  }
}

/** A deadline passes even when no worker is up to see it: whoever reads the job next settles it. */
async function expireIfLate(job: StoredJob, { store, now }: GatewayContext): Promise<StoredJob> {
  if (job.status !== 'queued' || now() <= job.deadlineAtMs) return job
  const error = { code: 'job_expired', detail: 'no worker took this job before its deadline' } as const
  const outcome = await store.settle(job, 'expired', error, now())
  const progress: JobProgress | undefined = outcome.state === 'settled-now' ? outcome.progress : undefined
  if (progress) return storedJob(job, progress, job.outputs)
  const again = await store.read(job.id)
  return again?.kind === 'stored' ? again : job
}
