/** /livez: this process runs. /readyz: it can take work, which needs the queue Redis; the cache and workers may be away. */
import { createRoute } from '@hono/zod-openapi'
import { z } from 'zod'
import type { GatewayContext, RequestContext } from '../context.js'
import { problems } from './answers.js'
import { readiness } from './examples.js'

const readinessSchema = z
  .object({
    ready: z.boolean(),
    queue_redis: z.boolean(),
    cache_redis: z.boolean().describe('Away, everything is computed; nothing is lost'),
    models: z.record(z.string(), z.object({ workers: z.number().int() })),
  })
  .meta({ id: 'Readiness' })

export const livezRoute = createRoute({
  method: 'get',
  path: '/livez',
  tags: ['Health'],
  summary: 'Whether this process runs',
  responses: {
    200: { description: 'It does', content: { 'text/plain': { schema: z.string(), example: 'ok\n' } } },
    ...problems(),
  },
})

export const readyzRoute = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['Health'],
  summary: 'Whether this process can take work',
  responses: {
    200: {
      description: 'It can',
      content: { 'application/json': { schema: readinessSchema, example: readiness } },
    },
    503: { description: 'It cannot', content: { 'application/json': { schema: readinessSchema } } },
  },
})

export function livez(c: RequestContext): Response {
  return c.text('ok\n')
}

export function readyz({ store, cache, config, fleet, stopping }: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const queueRedis = await store.ping().then(
      () => true,
      () => false,
    )
    const ready = queueRedis && !stopping.aborted
    const models = Object.fromEntries(
      [...config.models.keys()].map((alias) => [alias, { workers: fleet.model(alias).workers }]),
    )
    const body = { ready, queue_redis: queueRedis, cache_redis: cache.healthy, models }
    return c.json(body, ready ? 200 : 503)
  }
}
