/** Tells metrics and logs of every request, by its route's pattern. Only what failed or was slow is worth a line. */
import type { GatewayMetrics, Logger } from '@millrace/telemetry'
import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import type { GatewayEnv, RequestContext } from '../context.js'

const slowS = 1

/** A request that asked to wait is not slow for having waited. */
function waited({ req }: RequestContext): boolean {
  return /wait/.test(req.header('prefer') ?? '') || req.query('wait') !== undefined
}

export function observeRequest(metrics: GatewayMetrics, logger: Logger): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    const startedMs = performance.now()
    await next()
    const seconds = (performance.now() - startedMs) / 1000
    const { status } = c.res
    const pattern = routePath(c, -1)
    const route = pattern === '*' || pattern === '/*' ? 'unmatched' : pattern.replace(/:(\w+)/g, '{$1}')
    const { method } = c.req
    metrics.request({ route, method, status, seconds })
    const level = status >= 500 ? 'warn' : seconds > slowS && !waited(c) ? 'info' : 'debug'
    if (!logger.isLevelEnabled(level)) return
    const jobId = c.res.headers.get('x-job-id') ?? undefined
    logger[level](
      { requestId: c.get('requestId'), jobId, method, route, status, ms: Math.round(seconds * 1000) },
      'request',
    )
  }
}
