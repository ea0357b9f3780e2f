/** Listens to a worker's events: logs for people, metrics for Prometheus, health for whoever restarts it. */
import type { Config } from '@millrace/config'
import {
  createLogger,
  createMetrics,
  type Health,
  type Logger,
  maskUrl,
  safeEmitter,
  startMetricsServer,
  type WorkerMetrics,
  workerMetrics,
} from '@millrace/telemetry'
import type { Emit, WorkerEvent } from './events.js'
import type { ServedModel } from './serve-model.js'

export interface Observed {
  readonly emit: Emit
  readonly url: string
  close(): Promise<void>
}

/** @throws the listen error of the metrics port */
export async function observe(options: {
  config: Config
  workerId: string
  state: { ready: boolean; stopping: boolean }
  served: readonly ServedModel[]
}): Promise<Observed> {
  const { config, workerId, state, served } = options
  const logger = createLogger({ level: config.LOG_LEVEL, name: 'worker', bindings: { worker: workerId } })
  const registry = createMetrics()
  const metrics = workerMetrics(registry)
  const health = (): Health => ({
    live: true,
    ready: state.ready && !state.stopping,
    detail: {
      worker: workerId,
      models: served.map(({ alias, facts, silentMs }) => ({ alias, facts, silent_ms: silentMs() })),
    },
  })
  const server = await startMetricsServer({
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
    registry,
    health,
  })
  logger.info(
    {
      queueRedis: maskUrl(config.QUEUE_REDIS_URL),
      cacheRedis: maskUrl(config.CACHE_REDIS_URL),
      metrics: server.url,
    },
    'worker starts',
  )
  const emit = safeEmitter<WorkerEvent>([(event) => log(logger, event), (event) => count(metrics, event)])
  return { emit, url: server.url, close: () => server.close() }
}

/** One line per thing a person would want to know; what happens for every chunk is `debug`. */
function log(logger: Logger, event: WorkerEvent): void {
  if (event.type === 'batch-policy') {
    const { says, ...fields } = event
    logger.info(fields, `${event.model}: ${says}`)
  } else {
    const level = levelOf(event)
    // Most are of every chunk, and nobody reads them.
    if (!logger.isLevelEnabled(level)) return
    const { type, ...fields } = event
    logger[level](fields, type)
  }
}

function levelOf(event: WorkerEvent): 'error' | 'warn' | 'info' | 'debug' {
  switch (event.type) {
    case 'fatal':
    case 'gave-up':
      return 'error'
    case 'redis-away':
    case 'redis-error':
    case 'settings-fault':
    case 'consumer-error':
    case 'locks-lost':
    case 'chunk-failed':
    case 'process-start-failed':
    case 'weights-not-mapped':
    case 'weights-not-shared':
    case 'input-crashed-model':
    case 'tell-failed':
    case 'announce-failed':
      return 'warn'
    case 'process-exit':
      return event.reason === 'stopped' ? 'debug' : 'warn'
    case 'redis-back':
    case 'process-ready':
    case 'self-test':
    case 'weights-mapped':
    case 'weights-swept':
    case 'download':
    case 'worker-ready':
    case 'worker-stopping':
    case 'chunk-given-back':
      return 'info'
    default:
      return 'debug'
  }
}

function count(metrics: WorkerMetrics, event: WorkerEvent): void {
  switch (event.type) {
    case 'items-looked-up':
      metrics.cacheResults('hit', 'claim', event.hits)
      metrics.cacheResults('miss', 'claim', event.misses)
      metrics.cacheResults('joined', 'claim', event.joined)
      break
    case 'batch-done':
      metrics.batch({ ...event, seconds: event.predictMs / 1000 })
      break
    case 'job-settled':
      metrics.jobSettled(event.model, event.status)
      break
    case 'chunk-given-back':
      metrics.chunksGivenBack(event.model, 1)
      break
    case 'process-exit':
      if (event.reason !== 'stopped') metrics.modelProcessRestarted(event.model, event.reason)
      break
    case 'redis-away':
    case 'redis-error':
      metrics.redisError(event.role)
      break
  }
}
