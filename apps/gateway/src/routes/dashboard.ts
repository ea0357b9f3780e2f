/** /admin/queues: bull-board over the chunk queues. It shows what BullMQ carries; the records are the truth. */
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import type { GatewayContext } from '../context.js'

export const dashboardPath = '/admin/queues'

/** bull-board's page asks another host for its fonts: who looks at a queue is nobody else's business. */
const foreignStyle = /<link[^>]+href="https?:\/\/[^>]*>/g
const onlyFromHere =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

export function dashboard({ config, queues }: GatewayContext): Hono {
  const serverAdapter = new HonoAdapter(serveStatic)
  serverAdapter.setBasePath(dashboardPath)
  createBullBoard({
    // Every queue has one name; the prefix tells the models apart.
    queues: [...queues.queues()].map(
      ([alias, queue]) =>
        new BullMQAdapter(queue, { readOnlyMode: !config.DASHBOARD_WRITABLE, prefix: `${alias} ` }),
    ),
    serverAdapter,
    options: { uiConfig: { boardTitle: 'Millrace' } },
  })
  const app = new Hono()
  app.use(async (c, next) => {
    await next()
    const type = c.res.headers.get('content-type') ?? ''
    if (!type.startsWith('text/html')) return
    const page = (await c.res.text()).replaceAll(foreignStyle, '')
    c.res = new Response(page, { headers: { 'content-type': type, 'content-security-policy': onlyFromHere } })
  })
  app.route('/', serverAdapter.registerPlugin())
  return app
}
