/** POST /v1/rerank: documents in the order of their relevance to a query. The same journey as a job's, always waited for. */
import { createRoute } from '@hono/zod-openapi'
import { type RerankDocument, rerankListSchema, rerankSchema } from '@millrace/contracts'
import { writePair } from '@millrace/tokenizer'
import { checkItems, checkText } from '../check-inputs.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { readBody } from '../json-body.js'
import { chargeTokens } from '../middleware/rate-limit.js'
import { modelOf } from '../model-of.js'
import { TokenCounts } from '../openai-usage.js'
import { rankingText } from '../rerank-answer.js'
import { setHeader } from '../set-header.js'
import { clientClosedRequest, submitAndSettle } from '../submit-and-settle.js'
import { problems, waitedForFaults } from './answers.js'
import { ranking, rerankExample } from './examples.js'

export const rerankRoute = createRoute({
  method: 'post',
  path: '/v1/rerank',
  tags: ['Tasks'],
  summary: 'Rank documents by their relevance to a query',
  description:
    'In the form that Cohere, Jina and vLLM share. The answer waits for the result; a document that fails fails the ' +
    'request: to have its error in its place, submit a job.',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: rerankSchema, example: rerankExample } },
    },
  },
  responses: {
    200: {
      description: 'The documents, best first',
      headers: { 'X-Cache': { description: 'hit, partial or miss', schema: { type: 'string' } } },
      content: { 'application/json': { schema: rerankListSchema, example: ranking } },
    },
    ...problems(...waitedForFaults),
  },
})

export function rerank(context: GatewayContext) {
  const { config, tokenizers } = context
  const counts = new Map([...tokenizers].map(([alias, tokenizer]) => [alias, new TokenCounts(tokenizer)]))
  return async (c: RequestContext): Promise<Response> => {
    const body = await readBody(c, rerankSchema, () => 'documents')
    const model = modelOf(config, body.model, 'rerank')
    const truncate = body.truncate ?? false
    const { query } = body
    const { limits } = model
    const pathOf = (i: number) => `documents[${i}]`
    const inputOf = (document: RerankDocument) => writePair({ first: query, second: textOf(document) })
    const item = (i: number) => {
      const document = body.documents[i] ?? ''
      return {
        input: inputOf(document),
        path: pathOf(i),
        texts: [{ path: pathOf(i), text: textOf(document) }],
      }
    }
    checkText({ path: 'query', text: query }, limits)
    const count = body.documents.length
    const tokenizer = tokenizers.get(model.alias)
    await checkItems({ count, item, path: 'documents', truncate, tokenizer }, limits)
    const inputs = body.documents.map(inputOf)
    const promptTokens = (await counts.get(model.alias)?.total(inputs)) ?? 0
    await chargeTokens(c, context.limits, promptTokens)
    const request = {
      model: model.alias,
      task: model.task,
      inputs,
      single: false,
      options: { truncate, encoding: 'float' as const },
    }
    const done = await submitAndSettle(c, request, context)
    if (!done) return new Response(null, { status: clientClosedRequest })
    const text = rankingText({
      model: model.alias,
      ...done,
      topN: body.top_n ?? undefined,
      documents: body.return_documents ? body.documents.map(textOf) : undefined,
      rawScores: body.raw_scores ?? false,
      promptTokens,
      pathOf,
    })
    setHeader(c, 'x-cache', done.cache)
    return c.body(text, 200, { 'content-type': 'application/json' })
  }
}

function textOf(document: RerankDocument): string {
  return typeof document === 'string' ? document : document.text
}
