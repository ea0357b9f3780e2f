/** /admin/queues: bull-board over the chunk queues. It shows what BullMQ carries; the records are the truth. */
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { HonoAdapter } from '@bull-board/hono'
import { serveStatic } from '@hono/node-server/serve-static'
import type { Hono } from 'hono'
import type { GatewayContext } from '../context.js'

export const dashboardPath = '/admin/queues'

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
  return serverAdapter.registerPlugin()
}
