/** POST /v1/jobs and PUT /v1/jobs/{id}: the journey of submit.ts as HTTP. */
import { createRoute } from '@hono/zod-openapi'
import type { Config, ModelConfig } from '@millrace/config'
import {
  isMediaForm,
  jobSchema,
  type MediaKind,
  type SubmitJob,
  submitJobSchema,
  taskContracts,
} from '@millrace/contracts'
import { knownJobJson } from '@millrace/job-view'
import type { SettledJob, StoredJob } from '@millrace/jobs'
import { z } from 'zod'
import { cacheScope } from '../cache-scope.js'
import { chargeInputs } from '../charge-inputs.js'
import { clientGone } from '../client-gone.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { endOfTurn } from '../end-of-turn.js'
import { givenInputs, type JobInputs, jobInputs, readingOf, submitOptions } from '../job-inputs.js'
import { bodyText } from '../json-body.js'
import { mediaInputs } from '../media/media-inputs.js'
import { readMultipart, type UploadedBody } from '../media/multipart.js'
import { isMultipart } from '../middleware/limit-body.js'
import { modelOf } from '../model-of.js'
import { waitSeconds } from '../prefer.js'
import { readJob } from '../read-job.js'
import { repeatableId } from '../repeatable.js'
import { setHeader } from '../set-header.js'
import { rereadMs, settledJob } from '../settled-job.js'
import { storedJson } from '../stored-json.js'
import { type SubmitRequest, type Submitted, submit } from '../submit.js'
import { SubmitBodies } from '../submit-bodies.js'
import { idempotencyKey, prefer, problems } from './answers.js'
import { exampleEvent, queuedJob, submitExamples, submitFilesExample, succeededJob } from './examples.js'
import { eventSchema, streamEvents, wantsEvents } from './job-events.js'
import { multipartSchema } from './multipart-schema.js'

const noUploads: UploadedBody['uploads'] = new Map()

export const submitJobRoute = createRoute({
  method: 'post',
  path: '/v1/jobs',
  tags: ['Jobs'],
  summary: 'Submit a job',
  description:
    'Answers 200 at once when every item is known to the cache, and 202 when items are queued. With `Prefer: wait=N` ' +
    'the answer waits up to N seconds for the job to be settled and is then 200. With `Accept: text/event-stream` it is ' +
    "the job's stream of events.",
  request: {
    headers: z.object({ ...prefer, ...idempotencyKey }),
    body: {
      required: true,
      content: {
        'application/json': { schema: submitJobSchema, examples: submitExamples },
        'multipart/form-data': { schema: multipartSchema, example: submitFilesExample },
      },
    },
  },
  responses: {
    200: {
      description: 'The settled job',
      headers: {
        'X-Job-Id': { schema: { type: 'string' } },
        'X-Cache': { description: 'hit, partial or miss', schema: { type: 'string' } },
      },
      content: {
        'application/json': { schema: jobSchema, example: succeededJob },
        'text/event-stream': { schema: eventSchema, example: exampleEvent },
      },
    },
    202: {
      description: 'The accepted job, at `Location`',
      headers: {
        Location: { schema: { type: 'string' } },
        'X-Job-Id': { schema: { type: 'string' } },
        'X-Cache': { description: 'partial or miss', schema: { type: 'string' } },
      },
      content: { 'application/json': { schema: jobSchema, example: queuedJob } },
    },
    ...problems(
      'malformed_json',
      'invalid_request',
      'model_not_found',
      'body_too_large',
      'unsupported_media_type',
      'empty_input',
      'invalid_input',
      'input_too_long',
      'unsupported_media',
      'input_too_large',
      'url_refused',
      'fetch_failed',
      'too_many_items',
      'idempotency_mismatch',
      'job_gone',
      'webhook_refused',
      'unauthorized',
      'forbidden',
      'rate_limited',
      'queue_full',
      'queue_memory',
      'no_worker',
      'queue_unavailable',
    ),
  },
})

const putId = z.uuid().meta({
  description: 'A UUID of your own, of any version but 8: those are made from Idempotency-Keys',
  example: 'b5f0d1a2-3c4d-4e5f-8a9b-0c1d2e3f4a5b',
})

export const putJobRoute = createRoute({
  ...submitJobRoute,
  method: 'put',
  path: '/v1/jobs/{id}',
  summary: 'Submit a job under an id of your own',
  description:
    'The same as `POST /v1/jobs` with an `Idempotency-Key`: sent again with the same body it answers with the first ' +
    'job, with another body it is refused.',
  request: { ...submitJobRoute.request, headers: z.object(prefer), params: z.object({ id: putId }) },
})

/** POST: the id is ours or, with an Idempotency-Key, made from the key. PUT: the id is the client's. */
export function submitJob(context: GatewayContext) {
  const bodies = new SubmitBodies()
  return async (c: RequestContext): Promise<Response> => {
    const { text, uploads } = await sentBody(c, context)
    const body = bodies.parse(text)
    const request = await checkedRequest(c, body, uploads, repeatableId(c, text), context)
    if (wantsEvents(c)) {
      const submitted = await submit(request, context.submit)
      return streamEvents(c, submitted.job, context)
    }
    const waitS = waitSeconds(c.req.header('prefer'), c.req.query('wait'), context.config.WAIT_LIMIT_S)
    if (waitS > 0) setHeader(c, 'preference-applied', `wait=${waitS}`)
    return waitS > 0 ? submitAndWait(c, request, waitS * 1000, context) : submitOnly(c, request, context)
  }
}

/** @throws MillraceError unsupported_media_type, and what readMultipart throws */
async function sentBody(c: RequestContext, { config }: GatewayContext): Promise<UploadedBody> {
  if (isMultipart(c.req.header('content-type'))) return readMultipart(c.req.raw, mostItems(config))
  const text = await bodyText(c, 'application/json or, with files, as multipart/form-data')
  return { text, uploads: noUploads }
}

/** Of any model: which one is asked for stands in the body. */
function mostItems({ models }: Config): number {
  return Math.max(...Array.from(models.values(), ({ limits }) => limits.maxItems))
}

/** @throws MillraceError every fault of the body that can be told before anything is stored */
async function checkedRequest(
  c: RequestContext,
  body: SubmitJob,
  uploads: UploadedBody['uploads'],
  repeatable: SubmitRequest['repeatable'],
  context: GatewayContext,
): Promise<SubmitRequest> {
  const { config } = context
  const model = modelOf(config, body.model)
  const options = submitOptions(body.options, model.task, { maxNewTokens: config.MAX_NEW_TOKENS })
  const tokenizer = context.tokenizers.get(body.model)
  const form = taskContracts[model.task].input
  const { inputs, single, blobs } = isMediaForm(form)
    ? await filesOf(body, model, form, uploads, context)
    : await jobInputs(body, model.task, tokenizer, model.limits)
  if (body.webhook) await context.checkWebhook(body.webhook.url)
  await chargeInputs(c, inputs, tokenizer, context, readingOf(model.task, options))
  const tenant = c.get('tenant').name
  return {
    model: body.model,
    task: model.task,
    inputs,
    ...(blobs ? { blobs } : {}),
    single,
    options,
    priority: body.priority,
    metadata: body.metadata,
    webhook: body.webhook ?? null,
    startLimitMs: body.start_timeout_ms ?? null,
    lifeLimitMs: body.timeout_ms ?? null,
    tenant,
    scope: cacheScope(config, tenant),
    requestId: c.get('requestId'),
    repeatable,
  }
}

function filesOf(
  body: SubmitJob,
  { task, limits }: ModelConfig,
  form: MediaKind,
  uploads: UploadedBody['uploads'],
  { media }: GatewayContext,
): Promise<JobInputs> {
  const { given, single } = givenInputs(body, task)
  return mediaInputs(given, form, single, uploads, limits.maxItems, media)
}

async function submitOnly(c: RequestContext, request: SubmitRequest, context: GatewayContext) {
  return submittedAnswer(c, await submit(request, context.submit), context)
}

async function submitAndWait(
  c: RequestContext,
  request: SubmitRequest,
  waitMs: number,
  context: GatewayContext,
): Promise<Response> {
  // Made only where there is something to wait for: a hot text is answered without.
  let ended: AbortSignal | undefined
  const signal = () => {
    ended ??= clientGone(c, context.stopping)
    return ended
  }
  let heard: Promise<SettledJob | undefined> = Promise.resolve(undefined)
  const submitted = await submit(request, context.submit, (jobId) => {
    const limitMs = Math.min(request.startLimitMs ?? waitMs, request.lifeLimitMs ?? waitMs) + 1
    heard = context.channel.waitFor(jobId, Math.min(waitMs, rereadMs, limitMs), signal())
    return heard
  })
  if (submitted.kind === 'known' || submitted.job.completedAtMs !== null) {
    return submittedAnswer(c, submitted, context)
  }
  const { job } = submitted
  const read = () => readJob(job.id, job.tenant, context)
  const fresh = submitted.kind === 'accepted' ? { job, heard } : undefined
  // It is accepted: where its record cannot be read this moment, it is answered as it was, so that it can be polled.
  const settled = await settledJob(job.id, waitMs, { ...context, read }, signal(), fresh).catch(() => job)
  return storedAnswer(c, settled.kind === 'stored' ? settled : job, context)
}

function submittedAnswer(
  c: RequestContext,
  submitted: Submitted,
  context: GatewayContext,
): Response | Promise<Response> {
  return submitted.kind === 'known'
    ? knownAnswer(c, submitted, context)
    : storedAnswer(c, submitted.job, context)
}

async function knownAnswer(
  c: RequestContext,
  { job, results }: Extract<Submitted, { kind: 'known' }>,
  context: GatewayContext,
): Promise<Response> {
  setHeader(c, 'x-cache', 'hit')
  const json = knownJobJson(job, results, context.texts)
  await endOfTurn()
  return jobAnswer(c, 200, job.id, json)
}

/** 200 with the settled job, or 202 with where to look for it. */
async function storedAnswer(c: RequestContext, job: StoredJob, context: GatewayContext): Promise<Response> {
  setHeader(c, 'x-cache', job.knownCount === job.slotCount ? 'hit' : job.knownCount > 0 ? 'partial' : 'miss')
  const json = await storedJson(job, context)
  if (job.completedAtMs !== null) return jobAnswer(c, 200, job.id, json)
  setHeader(c, 'location', `/v1/jobs/${job.id}`)
  return jobAnswer(c, 202, job.id, json)
}

export function jobAnswer(
  c: RequestContext,
  status: 200 | 202,
  jobId: string,
  json: Buffer<ArrayBuffer>,
): Response {
  setHeader(c, 'x-job-id', jobId)
  return c.body(json, status, { 'content-type': 'application/json' })
}
