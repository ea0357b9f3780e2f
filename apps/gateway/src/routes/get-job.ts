/** GET /v1/jobs/{id}: a job as it is now or, with a wait, once it is settled. */
import { createRoute } from '@hono/zod-openapi'
import { jobSchema } from '@millrace/contracts'
import { knownJobJson } from '@millrace/job-view'
import { z } from 'zod'
import { clientGone } from '../client-gone.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { KnownResults } from '../known-results.js'
import { waitSeconds } from '../prefer.js'
import { readJob } from '../read-job.js'
import { setHeader } from '../set-header.js'
import { settledJob } from '../settled-job.js'
import { storedJson } from '../stored-json.js'
import { jobParams, prefer, problems } from './answers.js'
import { succeededJob } from './examples.js'
import { jobAnswer } from './submit-job.js'

const wait = z.int().min(0).max(999_999_999).optional().meta({
  description: 'The same as `Prefer: wait=N`, in seconds',
  example: 5,
})

export const getJobRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}',
  tags: ['Jobs'],
  summary: 'Read a job',
  description:
    'With `Prefer: wait=N` or `?wait=N` the answer waits up to N seconds for the job to be settled.',
  request: {
    params: jobParams,
    headers: z.object(prefer),
    query: z.object({ wait }),
  },
  responses: {
    200: {
      description: 'The job, settled or not',
      headers: { 'X-Job-Id': { schema: { type: 'string' } } },
      content: { 'application/json': { schema: jobSchema, example: succeededJob } },
    },
    ...problems(
      'invalid_request',
      'unauthorized',
      'forbidden',
      'job_not_found',
      'job_gone',
      'queue_unavailable',
      'result_rebuilding',
    ),
  },
})

export function getJob(context: GatewayContext) {
  const knownResults = new KnownResults(context)
  return async (c: RequestContext): Promise<Response> => {
    const id = (c.req.param('id') ?? '').toLowerCase()
    const waitS = waitSeconds(c.req.header('prefer'), c.req.query('wait'), context.config.WAIT_LIMIT_S)
    if (waitS > 0 && c.req.query('wait') === undefined) setHeader(c, 'preference-applied', `wait=${waitS}`)
    const signal = waitS > 0 ? clientGone(c, context.stopping) : context.stopping
    const read = () => readJob(id, c.get('tenant').name, context)
    const job = await settledJob(id, waitS * 1000, { ...context, read }, signal)
    const json =
      job.kind === 'known'
        ? knownJobJson(job, await knownResults.of(job), context.texts)
        : await storedJson(job, context)
    return jobAnswer(c, 200, id, json)
  }
}
