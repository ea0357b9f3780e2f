/** Every request has an id: the client's own where it is fit to be logged, else a new one. It is in every answer. */
import { randomUUID } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { GatewayEnv } from '../context.js'
import { setHeader } from '../set-header.js'

const fit = /^[\x21-\x7e]{1,128}$/

export const requestId: MiddlewareHandler<GatewayEnv> = async (c, next) => {
  const given = c.req.header('x-request-id')
  const id = given !== undefined && fit.test(given) ? given : randomUUID()
  c.set('requestId', id)
  setHeader(c, 'x-request-id', id)
  await next()
}
