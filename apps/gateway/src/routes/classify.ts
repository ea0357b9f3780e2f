/** POST /v1/classify: texts to labels. The same journey as a job's, always waited for. */
import { createRoute } from '@hono/zod-openapi'
import { classificationListSchema, classifySchema } from '@millrace/contracts'
import { checkItems, type ItemToCheck } from '../check-inputs.js'
import { classificationsText } from '../classify-answer.js'
import type { GatewayContext, RequestContext } from '../context.js'
import { readBody } from '../json-body.js'
import { chargeTokens } from '../middleware/rate-limit.js'
import { modelOf } from '../model-of.js'
import { TokenCounts } from '../openai-usage.js'
import { setHeader } from '../set-header.js'
import { clientClosedRequest, submitAndSettle } from '../submit-and-settle.js'
import { problems, waitedForFaults } from './answers.js'
import { classifications, classifyExample } from './examples.js'

export const classifyRoute = createRoute({
  method: 'post',
  path: '/v1/classify',
  tags: ['Tasks'],
  summary: 'Classify texts',
  description:
    'In the form of vLLM and SGLang. The answer waits for the result; an input that fails fails the request: to have ' +
    'its error in its place, submit a job.',
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: classifySchema, example: classifyExample } },
    },
  },
  responses: {
    200: {
      description: 'The labels of each input, in the order of the inputs',
      headers: { 'X-Cache': { description: 'hit, partial or miss', schema: { type: 'string' } } },
      content: { 'application/json': { schema: classificationListSchema, example: classifications } },
    },
    ...problems(...waitedForFaults),
  },
})

export function classify(context: GatewayContext) {
  const { config, tokenizers } = context
  const counts = new Map([...tokenizers].map(([alias, tokenizer]) => [alias, new TokenCounts(tokenizer)]))
  return async (c: RequestContext): Promise<Response> => {
    const body = await readBody(c, classifySchema, wideField)
    const model = modelOf(config, body.model, 'text-classification')
    const truncate = body.truncate ?? false
    const { inputs, single, pathOf } = inputsOf(body)
    const item = (i: number): ItemToCheck => {
      const [input, path] = [inputs[i] ?? '', pathOf(i)]
      return { input, path, texts: [{ path, text: input }] }
    }
    await checkItems(
      { count: inputs.length, item, path: fieldOf(body), truncate, tokenizer: tokenizers.get(model.alias) },
      model.limits,
    )
    const promptTokens = (await counts.get(model.alias)?.total(inputs)) ?? 0
    await chargeTokens(c, context.limits, promptTokens)
    const request = {
      model: model.alias,
      task: model.task,
      inputs,
      single,
      options: { truncate, encoding: 'float' as const },
    }
    const done = await submitAndSettle(c, request, context)
    if (!done) return new Response(null, { status: clientClosedRequest })
    const text = classificationsText({
      model: model.alias,
      ...done,
      topK: body.top_k ?? undefined,
      promptTokens,
      pathOf,
    })
    setHeader(c, 'x-cache', done.cache)
    return c.body(text, 200, { 'content-type': 'application/json' })
  }
}

type Given = { input?: string | string[] | null | undefined; inputs?: string | string[] | null | undefined }

function inputsOf(body: Given): { inputs: string[]; single: boolean; pathOf: (i: number) => string } {
  const given = body.input ?? body.inputs ?? []
  const field = fieldOf(body)
  if (typeof given === 'string') return { inputs: [given], single: true, pathOf: () => field }
  return { inputs: given, single: false, pathOf: (i) => `${field}[${i}]` }
}

function fieldOf({ input }: Given): 'input' | 'inputs' {
  return input == null ? 'inputs' : 'input'
}

function wideField(json: unknown): string {
  return typeof json === 'object' && json !== null && 'inputs' in json ? 'inputs' : 'input'
}
