/** GET /v1/models: what this fleet serves, and what its workers found each model to be. */
import { createRoute } from '@hono/zod-openapi'
import { type Model, modelListSchema } from '@millrace/contracts'
import type { GatewayContext, RequestContext } from '../context.js'
import { problems } from './answers.js'
import { modelList } from './examples.js'

export const listModelsRoute = createRoute({
  method: 'get',
  path: '/v1/models',
  tags: ['Models'],
  summary: 'List the models',
  responses: {
    200: {
      description: 'Every model of millrace.json',
      content: { 'application/json': { schema: modelListSchema, example: modelList } },
    },
    ...problems('unauthorized', 'forbidden', 'queue_unavailable'),
  },
})

export function listModels({ config, fleet, now }: GatewayContext) {
  const created = Math.floor(now() / 1000)
  return (c: RequestContext): Response => {
    const data = [...config.models.values()].map((model): Model => {
      const { facts, workers, waiting, chunksPerS } = fleet.model(model.alias)
      const { versions, tokensPerS, servedBy } = fleet.serving(model.alias)
      const owner = model.hub?.id.split('/')[0] ?? 'local'
      return {
        id: model.alias,
        object: 'model',
        created,
        owned_by: owner,
        task: model.task,
        workers,
        versions,
        tokens_per_s: tokensPerS,
        served_by: servedBy,
        queue: { waiting, chunks_per_s: chunksPerS },
        facts: facts ?? null,
      }
    })
    return c.json({ object: 'list', data })
  }
}
