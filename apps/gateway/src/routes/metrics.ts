/** GET /metrics: Prometheus. */
import type { GatewayContext, RequestContext } from '../context.js'

export function metrics(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const { type, body } = await context.metrics()
    return c.body(body, 200, { 'content-type': type })
  }
}
