/** POST /v1/embeddings: OpenAI's route. The same journey as a job's, always waited for; only its edge is OpenAI's. */
import { createRoute } from '@hono/zod-openapi'
import { createEmbeddingsSchema, embeddingListSchema, fieldError, type ModelFacts } from '@millrace/contracts'
import type { GatewayContext, RequestContext } from '../context.js'
import { chargeTokens } from '../middleware/rate-limit.js'
import { modelOf } from '../model-of.js'
import { embeddingsJson } from '../openai-answer.js'
import { readEmbeddingsBody } from '../openai-body.js'
import { openAiErrorAnswers } from '../openai-error.js'
import { embeddingsInputs } from '../openai-inputs.js'
import { TokenCounts } from '../openai-usage.js'
import { setHeader } from '../set-header.js'
import { clientClosedRequest, submitAndSettle } from '../submit-and-settle.js'
import { waitedForFaults } from './answers.js'
import { embeddings, embeddingsExample } from './examples.js'

export const createEmbeddingsRoute = createRoute({
  method: 'post',
  path: '/v1/embeddings',
  tags: ['OpenAI'],
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
    ...openAiErrorAnswers(...waitedForFaults),
  },
})

export function createEmbeddings(context: GatewayContext) {
  const { config, fleet, tokenizers, texts } = context
  const counts = new Map([...tokenizers].map(([alias, tokenizer]) => [alias, new TokenCounts(tokenizer)]))
  return async (c: RequestContext): Promise<Response> => {
    const body = await readEmbeddingsBody(c)
    const model = modelOf(config, body.model, 'feature-extraction')
    const asked = body.dimensions ?? undefined
    if (asked !== undefined) refuseOtherDimensions(asked, await fleet.factsOf(model.alias))
    const { inputs, single } = await embeddingsInputs(body.input, tokenizers.get(model.alias), model.limits)
    const promptTokens = (await counts.get(model.alias)?.total(inputs)) ?? 0
    await chargeTokens(c, context.limits, promptTokens)
    const encoding = body.encoding_format ?? 'float'
    const request = {
      model: model.alias,
      task: model.task,
      inputs,
      single,
      options: { encoding, truncate: false },
    }
    const done = await submitAndSettle(c, request, context)
    if (!done) return new Response(null, { status: clientClosedRequest })
    // Before the first worker came nobody knew the model's number; who computed this does.
    if (asked !== undefined) refuseOtherDimensions(asked, await fleet.factsOf(model.alias))
    const { slots, results, cache } = done
    const held = cache === 'hit'
    const embedded = { model: model.alias, single, encoding, slots, results, held, promptTokens }
    const json = await embeddingsJson(embedded, texts)
    setHeader(c, 'x-cache', cache)
    return c.body(json, 200, { 'content-type': 'application/json' })
  }
}

function refuseOtherDimensions(asked: number, facts: ModelFacts | undefined): void {
  if (facts?.task !== 'feature-extraction' || asked === facts.dimensions) return
  const detail = `this model gives ${facts.dimensions} and cannot give ${asked}`
  throw fieldError('invalid_request', 'dimensions', detail)
}
