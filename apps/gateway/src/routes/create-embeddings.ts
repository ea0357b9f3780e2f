/** POST /v1/embeddings: OpenAI's route. The same journey as a job's, always waited for; only its edge is OpenAI's. */
import { createRoute } from '@hono/zod-openapi'
import {
  createEmbeddingsSchema,
  embeddingListSchema,
  fieldError,
  isTerminal,
  MillraceError,
  type ModelFacts,
} from '@millrace/contracts'
import type { SettledJob } from '@millrace/jobs'
import { cacheScope } from '../cache-scope.js'
import { clientGone } from '../client-gone.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { chargeTokens } from '../middleware/rate-limit.js'
import { embeddingsText } from '../openai-answer.js'
import { readEmbeddingsBody } from '../openai-body.js'
import { openAiErrorAnswers } from '../openai-error.js'
import { embeddingsInputs } from '../openai-inputs.js'
import { TokenCounts } from '../openai-usage.js'
import { readJob } from '../read-job.js'
import { setHeader } from '../set-header.js'
import { rereadMs, settledJob } from '../settled-job.js'
import { type SubmitRequest, submit } from '../submit.js'
import { needsKey } from './answers.js'
import { embeddings, embeddingsExample } from './examples.js'

export const createEmbeddingsRoute = createRoute({
  method: 'post',
  path: '/v1/embeddings',
  tags: ['OpenAI'],
  security: needsKey,
  summary: 'Embed, as OpenAI does',
  description:
    "OpenAI's form, for its clients. The answer waits for the result; an input that fails fails the request. Errors on " +
    "this route have OpenAI's form too.",
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: createEmbeddingsSchema, example: embeddingsExample } },
    },
  },
  responses: {
    200: {
      description: 'One embedding per input, in the same order',
      headers: { 'X-Cache': { description: 'hit, partial or miss', schema: { type: 'string' } } },
      content: { 'application/json': { schema: embeddingListSchema, example: embeddings } },
    },
    ...openAiErrorAnswers(
      'malformed_json',
      'invalid_request',
      'empty_input',
      'invalid_input',
      'input_too_long',
      'too_many_items',
      'unauthorized',
      'forbidden',
      'model_not_found',
      'body_too_large',
      'unsupported_media_type',
      'rate_limited',
      'queue_full',
      'input_crashes_model',
      'inference_failed',
      'inference_timeout',
      'queue_memory',
      'queue_unavailable',
      'result_rebuilding',
      'shutting_down',
      'job_expired',
    ),
  },
})

export function createEmbeddings(context: GatewayContext) {
  const { config, fleet, tokenizers, texts } = context
  const counts = new Map([...tokenizers].map(([alias, tokenizer]) => [alias, new TokenCounts(tokenizer)]))
  return async (c: RequestContext): Promise<Response> => {
    const body = await readEmbeddingsBody(c)
    const model = config.models.get(body.model)
    if (!model) throw fieldError('model_not_found', 'model', `this fleet has no model '${body.model}'`)
    const asked = body.dimensions ?? undefined
    if (asked !== undefined) refuseOtherDimensions(asked, await fleet.factsOf(model.alias))
    const limits = { maxItems: config.MAX_ITEMS, maxChars: config.MAX_INPUT_CHARS }
    const { inputs, single } = await embeddingsInputs(body.input, tokenizers.get(model.alias), limits)
    const promptTokens = (await counts.get(model.alias)?.total(inputs)) ?? 0
    await chargeTokens(c, context.limits, promptTokens)
    const encoding = body.encoding_format ?? 'float'
    const tenant = c.get('tenant').name
    const request: SubmitRequest = {
      model: model.alias,
      task: model.task,
      inputs,
      single,
      options: { encoding, truncate: false },
      priority: 0,
      metadata: {},
      webhook: null,
      startLimitMs: null,
      lifeLimitMs: null,
      tenant,
      scope: cacheScope(config, tenant),
      repeatable: null,
      requestId: c.get('requestId'),
    }
    const done = await submitAndSettle(c, request, context)
    if (!done) return new Response(null, { status: clientClosedRequest })
    // Before the first worker came nobody knew the model's number; who computed this does.
    if (asked !== undefined) refuseOtherDimensions(asked, await fleet.factsOf(model.alias))
    const text = await embeddingsText({ model: model.alias, single, encoding, promptTokens, ...done }, texts)
    setHeader(c, 'x-cache', done.cache)
    return c.body(text, 200, { 'content-type': 'application/json' })
  }
}

/** nginx's status for a client that left: nobody reads it, but metrics and logs tell it from a fault of ours. */
const clientClosedRequest = 499

interface Settled {
  slots: readonly number[]
  /** By slot. */
  results: ReadonlyMap<number, Buffer>
  cache: 'hit' | 'partial' | 'miss'
}

/**
 * @returns undefined where the client left
 * @throws MillraceError what the job was refused or settled with; result_rebuilding where it is not settled in time
 */
async function submitAndSettle(
  c: RequestContext,
  request: SubmitRequest,
  context: GatewayContext,
): Promise<Settled | undefined> {
  const limitMs = context.config.WAIT_LIMIT_S * 1000
  let signal = context.stopping
  let heard: Promise<SettledJob | undefined> = Promise.resolve(undefined)
  // Nobody is told the id of a job that is answered in full: it needs no record to be read again.
  const submitContext = { ...context.submit, knownJobTtlMs: 0 }
  const submitted = await submit(request, submitContext, (jobId) => {
    signal = AbortSignal.any([clientGone(c), context.stopping])
    heard = context.channel.waitFor(jobId, Math.min(limitMs, rereadMs), signal)
  })
  if (submitted.kind === 'known') {
    const { job, results } = submitted
    return { slots: job.slots, results: new Map(results.entries()), cache: 'hit' }
  }
  const { job } = submitted
  setHeader(c, 'x-job-id', job.id)
  const read = () => readJob(job.id, job.tenant, context)
  const settled = await settledJob(job.id, limitMs, { ...context, read }, signal, { job, heard })
  if (settled.kind !== 'stored' || !isTerminal(settled.status)) {
    if (signal.aborted && !context.stopping.aborted) return undefined
    throw notYet(request.model, context)
  }
  // A job fails as a whole, or by the failures of its inputs, which say more.
  if (settled.error) throw new MillraceError(settled.error.code, settled.error.detail)
  const cache = settled.knownCount > 0 ? 'partial' : 'miss'
  return { slots: settled.slots, results: settled.outputs, cache }
}

const mostRetryS = 60

/** The job goes on: the same request again finds what is computed by then in the cache, and joins what is not. */
function notYet(model: string, { config, fleet, stopping }: GatewayContext): MillraceError {
  if (stopping.aborted) {
    return new MillraceError('shutting_down', 'This replica is stopping; ask again', { retryAfterS: 1 })
  }
  const { waiting, chunksPerS } = fleet.model(model)
  const eta = chunksPerS > 0 ? Math.ceil(waiting / chunksPerS) : 0
  const detail = `Not computed within ${config.WAIT_LIMIT_S} s; the work goes on, so ask again`
  return new MillraceError('result_rebuilding', detail, {
    retryAfterS: Math.min(mostRetryS, Math.max(1, eta)),
  })
}

function refuseOtherDimensions(asked: number, facts: ModelFacts | undefined): void {
  if (facts === undefined || asked === facts.dimensions) return
  const detail = `this model gives ${facts.dimensions} and cannot give ${asked}`
  throw fieldError('invalid_request', 'dimensions', detail)
}
