/** POST /v1/jobs: the journey of submit.ts as HTTP. */
import { createRoute } from '@hono/zod-openapi'
import {
  type FieldError,
  fieldError,
  jobSchema,
  MillraceError,
  type SubmitJob,
  submitJobSchema,
} from '@millrace/contracts'
import { knownJobText, storedJobText } from '@millrace/job-view'
import type { SettledJob, StoredJob } from '@millrace/jobs'
import type { z } from 'zod'
import { checkInputs } from '../check-inputs.js'
import { clientGone } from '../client-gone.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { endOfTurn } from '../end-of-turn.js'
import { maxReportedFaults } from '../error-response.js'
import { waitSeconds } from '../prefer.js'
import { setHeader } from '../set-header.js'
import { rereadMs, settledJob } from '../settled-job.js'
import { type Submitted, submit } from '../submit.js'
import { problems } from './answers.js'

const example = { model: 'all-MiniLM-L6-v2', inputs: ['How do I reset my password?', 'I forgot my login.'] }

export const submitJobRoute = createRoute({
  method: 'post',
  path: '/v1/jobs',
  summary: 'Submit a job',
  description:
    'Answers 200 at once when every item is known to the cache, and 202 when items are queued. With `Prefer: wait=N` ' +
    'the answer waits up to N seconds for the job to be settled and is then 200.',
  request: {
    headers: undefined,
    body: { required: true, content: { 'application/json': { schema: submitJobSchema, example } } },
  },
  responses: {
    200: {
      description: 'The settled job',
      headers: {
        'X-Job-Id': { schema: { type: 'string' } },
        'X-Cache': { description: 'hit, partial or miss', schema: { type: 'string' } },
      },
      content: { 'application/json': { schema: jobSchema } },
    },
    202: {
      description: 'The accepted job, at `Location`',
      headers: {
        Location: { schema: { type: 'string' } },
        'X-Job-Id': { schema: { type: 'string' } },
        'X-Cache': { description: 'partial or miss', schema: { type: 'string' } },
      },
      content: { 'application/json': { schema: jobSchema } },
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
      'too_many_items',
      'queue_full',
      'queue_memory',
      'queue_unavailable',
    ),
  },
})

export function submitJob(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const body = await parseBody(c)
    const model = context.config.models.get(body.model)
    if (!model) throw fieldError('model_not_found', 'model', `this fleet has no model '${body.model}'`)
    const inputs = body.inputs ?? [body.input ?? '']
    const single = body.inputs === undefined
    await checkInputs(
      { inputs, single, truncate: body.options.truncate, tokenizer: context.tokenizers.get(body.model) },
      { maxItems: context.config.MAX_ITEMS, maxChars: context.config.MAX_INPUT_CHARS },
    )
    const waitS = waitSeconds(c.req.header('prefer'), undefined, context.config.WAIT_LIMIT_S)
    const request = {
      model: body.model,
      task: model.task,
      inputs,
      single,
      options: body.options,
      priority: body.priority,
      metadata: body.metadata,
      webhook: body.webhook ?? null,
      tenant: 'default',
      requestId: c.get('requestId'),
    }
    if (waitS > 0) setHeader(c, 'preference-applied', `wait=${waitS}`)
    return waitS > 0 ? submitAndWait(c, request, waitS * 1000, context) : submitOnly(c, request, context)
  }
}

type Request = Parameters<typeof submit>[0]

async function submitOnly(c: RequestContext, request: Request, context: GatewayContext): Promise<Response> {
  const submitted = await submit(request, context.submit)
  if (submitted.kind === 'known') return knownAnswer(c, submitted, context)
  return accepted(c, submitted.job, context)
}

async function submitAndWait(
  c: RequestContext,
  request: Request,
  waitMs: number,
  context: GatewayContext,
): Promise<Response> {
  // Made only where there is something to wait for: a hot text is answered without.
  let signal = context.stopping
  let heard: Promise<SettledJob | undefined> = Promise.resolve(undefined)
  const submitted = await submit(request, context.submit, (jobId) => {
    signal = AbortSignal.any([clientGone(c), context.stopping])
    heard = context.channel.waitFor(jobId, Math.min(waitMs, rereadMs), signal)
  })
  if (submitted.kind === 'known') return knownAnswer(c, submitted, context)
  const { job } = submitted
  // It is accepted: where its record cannot be read this moment, it is answered as it was, so that it can be polled.
  const settled = await settledJob(job.id, waitMs, context, signal, { job, heard }).catch(() => job)
  if (settled?.kind !== 'stored' || settled.completedAtMs === null) {
    return accepted(c, settled?.kind === 'stored' ? settled : job, context)
  }
  setHeader(c, 'x-cache', cacheWord(settled))
  return jobAnswer(c, 200, job.id, storedJobText(settled, context.texts, context.fleet.model(job.model)))
}

async function knownAnswer(
  c: RequestContext,
  { job, results }: Extract<Submitted, { kind: 'known' }>,
  context: GatewayContext,
): Promise<Response> {
  setHeader(c, 'x-cache', 'hit')
  const text = knownJobText(job, results, context.texts)
  await endOfTurn()
  return jobAnswer(c, 200, job.id, text)
}

function accepted(c: RequestContext, job: StoredJob, context: GatewayContext): Response {
  setHeader(c, 'location', `/v1/jobs/${job.id}`)
  setHeader(c, 'x-cache', cacheWord(job))
  return jobAnswer(c, 202, job.id, storedJobText(job, context.texts, context.fleet.model(job.model)))
}

export function jobAnswer(c: RequestContext, status: 200 | 202, jobId: string, text: string): Response {
  setHeader(c, 'x-job-id', jobId)
  return c.body(text, status, { 'content-type': 'application/json' })
}

function cacheWord(job: StoredJob): 'partial' | 'miss' {
  return job.knownCount > 0 ? 'partial' : 'miss'
}

/** @throws MillraceError unsupported_media_type, malformed_json, invalid_request */
async function parseBody(c: RequestContext): Promise<SubmitJob> {
  const type = c.req.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new MillraceError('unsupported_media_type', 'Send the body as application/json')
  }
  let json: unknown
  try {
    json = JSON.parse(await c.req.text())
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new MillraceError('malformed_json', error.message.replace(/, ".*$/s, ''), { cause: error })
  }
  const parsed = submitJobSchema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidRequest(parsed.error)
}

function invalidRequest(error: z.ZodError): MillraceError {
  const errors = error.issues
    .slice(0, maxReportedFaults)
    .map(
      (issue): FieldError => ({ path: pathOf(issue.path), code: 'invalid_request', detail: issue.message }),
    )
  const [first] = errors
  return new MillraceError('invalid_request', `${first?.path}: ${first?.detail}`, { errors })
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
  return text.replace(/^\./, '') || '(body)'
}
