/** The gateway's HTTP surface: which middleware and which routes, in which order. Each route is a file of its own. */
import { OpenAPIHono } from '@hono/zod-openapi'
import { MillraceError } from '@millrace/contracts'
import type { GatewayMetrics, Logger } from '@millrace/telemetry'
import { Hono } from 'hono'
import type { GatewayContext, GatewayEnv, RequestContext } from './context.js'
import { toMillraceError } from './error-response.js'
import { requireAdminKey } from './middleware/admin-key.js'
import { authenticate, requireScope } from './middleware/authenticate.js'
import { limitBody } from './middleware/limit-body.js'
import { observeRequest } from './middleware/observe-request.js'
import { requestId } from './middleware/request-id.js'
import { faultResponse } from './openai-error.js'
import { bearer, tags } from './routes/answers.js'
import { cancelJob, cancelJobRoute } from './routes/cancel-job.js'
import { classify, classifyRoute } from './routes/classify.js'
import { createEmbeddings, createEmbeddingsRoute } from './routes/create-embeddings.js'
import { dashboard, dashboardPath } from './routes/dashboard.js'
import { docsPage, docsPath } from './routes/docs-page.js'
import { getJob, getJobRoute } from './routes/get-job.js'
import { livez, livezRoute, readyz, readyzRoute } from './routes/health.js'
import { jobEvents, jobEventsRoute } from './routes/job-events.js'
import { listJobs, listJobsRoute } from './routes/list-jobs.js'
import { listModels, listModelsRoute } from './routes/list-models.js'
import { metrics } from './routes/metrics.js'
import { redeliverWebhook, redeliverWebhookRoute } from './routes/redeliver-webhook.js'
import { rerank, rerankRoute } from './routes/rerank.js'
import { retryJob, retryJobRoute } from './routes/retry-job.js'
import { putJobRoute, submitJob, submitJobRoute } from './routes/submit-job.js'

export function createApp(
  context: GatewayContext,
  observers: { metrics: GatewayMetrics; logger: Logger },
  keysRequired: boolean,
) {
  const app = new OpenAPIHono<GatewayEnv>()
  app.use(requestId)
  app.use(observeRequest(observers.metrics, observers.logger))
  app.use('/v1/*', authenticate(context.tenants, { required: keysRequired }))
  app.use('/v1/*', limitBody(context.config.BODY_LIMIT_BYTES, context.config.JOB_MEDIA_BYTES))

  // Described by its route, handled by plain Hono: bodies are parsed once, by our own rules for faults.
  const submit = submitJob(context)
  const routes = [
    { route: submitJobRoute, scope: 'submit', handle: submit },
    { route: putJobRoute, scope: 'submit', handle: submit },
    { route: listJobsRoute, scope: 'read', handle: listJobs(context) },
    { route: getJobRoute, scope: 'read', handle: getJob(context) },
    { route: jobEventsRoute, scope: 'read', handle: jobEvents(context) },
    { route: cancelJobRoute, scope: 'submit', handle: cancelJob(context) },
    { route: retryJobRoute, scope: 'submit', handle: retryJob(context) },
    { route: redeliverWebhookRoute, scope: 'submit', handle: redeliverWebhook(context) },
    { route: createEmbeddingsRoute, scope: 'submit', handle: createEmbeddings(context) },
    { route: classifyRoute, scope: 'submit', handle: classify(context) },
    { route: rerankRoute, scope: 'submit', handle: rerank(context) },
    { route: listModelsRoute, scope: 'read', handle: listModels(context) },
    { route: livezRoute, scope: null, handle: livez },
    { route: readyzRoute, scope: null, handle: readyz(context) },
  ] as const
  // `{}`: also without one (OpenAPI 3.1, section 4.8.30).
  const withKey = keysRequired ? [{ bearer: [] }] : [{ bearer: [] }, {}]
  for (const { route, scope, handle } of routes) {
    app.openAPIRegistry.registerPath({ ...route, security: scope === null ? [] : withKey })
    const path = route.getRoutingPath()
    if (scope !== null) app.on(route.method, path, requireScope(scope))
    app.on(route.method, path, (c) => handle(c))
  }
  const docs = docsPage()
  app.get(docsPath, docs)
  app.get(`${docsPath}/:file`, docs)
  app.get('/metrics', metrics(context))
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', bearer)
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    tags,
    info: {
      title: 'Millrace',
      version: '0.1.0',
      description: 'A queue-driven inference fleet: submit jobs, wait for them or poll them.',
    },
  })
  app.use(`${dashboardPath}/*`, requireAdminKey(context.config.ADMIN_KEY, context.config.HOST))
  // An app of its own: among bull-board's routes are some that would cost every other request the fast router.
  const board = new Hono().route(dashboardPath, dashboard(context))
  board.notFound(({ req }) => {
    throw new MillraceError('not_found', `There is no ${req.method} ${req.path}`)
  })
  board.onError((error) => {
    throw error
  })
  app.get(`${dashboardPath}/`, (c) => c.redirect(dashboardPath))
  app.all(`${dashboardPath}/*`, (c) => board.fetch(c.req.raw, c.env))

  const allowed = methodsByPath(routes.map(({ route }) => route))
  app.notFound((c) => notFound(c, allowed))
  app.onError((error, c) => {
    const fault = toMillraceError(error)
    if (fault.status >= 500) {
      const { method, path } = c.req
      context.emit({
        type: 'request-failed',
        requestId: c.get('requestId'),
        method,
        path,
        error: fault.cause ?? fault,
      })
    }
    return faultResponse(c.req.path, fault, c.get('requestId'))
  })
  return app
}

interface AllowedMethods {
  pattern: RegExp
  methods: string[]
}

function methodsByPath(routes: { method: string; path: string }[]): AllowedMethods[] {
  const byPath = new Map<string, string[]>()
  for (const { method, path } of routes) byPath.set(path, [...(byPath.get(path) ?? []), method.toUpperCase()])
  return [...byPath].map(([path, methods]) => ({
    pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
    methods,
  }))
}

/** A path that exists under another method says so. */
function notFound(c: RequestContext, allowed: readonly AllowedMethods[]): Response {
  const known = allowed.find(({ pattern }) => pattern.test(c.req.path))
  const { method, path } = c.req
  if (!known)
    return faultResponse(
      path,
      new MillraceError('not_found', `There is no ${method} ${path}`),
      c.get('requestId'),
    )
  const allow = known.methods.join(', ')
  const fault = new MillraceError('method_not_allowed', `${path} takes ${allow}`)
  const response = faultResponse(c.req.path, fault, c.get('requestId'))
  response.headers.set('allow', allow)
  return response
}
