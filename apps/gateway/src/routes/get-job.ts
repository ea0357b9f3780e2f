/** GET /v1/jobs/{id}: a job as it is now or, with a wait, once it is settled. */
import { createRoute } from '@hono/zod-openapi'
import { jobSchema, MillraceError } from '@millrace/contracts'
import type { JobProgress, KnownJob, StoredJob } from '@millrace/jobs'
import { storedJob } from '@millrace/jobs'
import { z } from 'zod'
import type { GatewayContext, RequestContext } from '../context.js'
import { knownJobText, storedJobText } from '../job-view.js'
import { waitSeconds } from '../prefer.js'
import { settledJob } from '../settled-job.js'
import { submit } from '../submit.js'
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
/** How long a reader waits while a forgotten result is computed again. */
const rebuildLimitMs = 10_000

export function getJob(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const id = c.req.param('id') ?? ''
    const notFound = new MillraceError('job_not_found', `There is no job '${id}', or it has expired`)
    if (!uuid.test(id)) throw notFound
    const waitS = waitSeconds(c.req.header('prefer'), c.req.query('wait'), context.config.WAIT_LIMIT_S)
    if (waitS > 0 && c.req.query('wait') === undefined) c.header('preference-applied', `wait=${waitS}`)
    const signal = AbortSignal.any([c.req.raw.signal, context.stopping])
    const job = await settledJob(id, waitS * 1000, context, signal)
    if (!job) throw notFound
    if (job.kind === 'known') {
      return jobAnswer(c, 200, id, knownJobText(job, await knownResults(job, context, signal), context.texts))
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

/** The results a small record points at. What the cache forgot meanwhile is computed again from the inputs. */
async function knownResults(job: KnownJob, context: GatewayContext, signal: AbortSignal): Promise<Buffer[]> {
  const { values } = await context.cache.getMany(job.keys)
  const results = values.filter((value) => value !== undefined)
  if (results.length === job.keys.length) return results
  const model = context.config.models.get(job.model)
  if (!model) throw new MillraceError('result_rebuilding', 'The model of this job is not configured any more')
  context.emit({ type: 'job-rebuilt', model: job.model, jobId: job.id, requestId: job.requestId })
  const { inputs, requestId, encoding, truncate } = job
  const options = { encoding, truncate }
  const request = { model: job.model, task: model.task, inputs, single: false, options, requestId }
  const submitted = await submit(request, context.submit)
  if (submitted.kind === 'known') return [...submitted.results]
  const settled = await settledJob(submitted.job.id, rebuildLimitMs, context, signal)
  const rebuilt = settled?.kind === 'stored' && settled.status === 'succeeded' ? settled : undefined
  // The inputs of a record are distinct: slot i is input i.
  const outputs = inputs.map((_, slot) => rebuilt?.outputs.get(slot)).filter((bytes) => bytes !== undefined)
  if (outputs.length === inputs.length) return outputs
  throw new MillraceError('result_rebuilding', 'The result is being computed again', { retryAfterS: 5 })
}
