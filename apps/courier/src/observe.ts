/** Listens to a courier's events: logs for people, metrics for Prometheus, health for whoever restarts it. */
import type { Config } from '@millrace/config'
import {
  type CourierMetrics,
  courierMetrics,
  createLogger,
  createMetrics,
  type Logger,
  maskUrl,
  safeEmitter,
  startMetricsServer,
} from '@millrace/telemetry'
import type { CourierEvent, Emit } from './events.js'

export interface Observed {
  readonly emit: Emit
  readonly url: string
  close(): Promise<void>
}

/** @throws the listen error of the metrics port */
export async function observe(options: {
  config: Config
  courierId: string
  state: { ready: boolean; stopping: boolean }
  onEvent?: Emit | undefined
}): Promise<Observed> {
  const { config, courierId, state, onEvent } = options
  const logger = createLogger({ level: config.LOG_LEVEL, name: 'courier', bindings: { courier: courierId } })
  const registry = createMetrics()
  const metrics = courierMetrics(registry)
  const server = await startMetricsServer({
    host: config.METRICS_HOST,
    port: config.METRICS_PORT,
    registry,
    health: () => ({ live: true, ready: state.ready && !state.stopping, detail: { courier: courierId } }),
  })
  logger.info({ queueRedis: maskUrl(config.QUEUE_REDIS_URL), metrics: server.url }, 'courier starts')
  const emit = safeEmitter<CourierEvent>([
    (event) => log(logger, event),
    (event) => count(metrics, event),
    onEvent,
  ])
  return { emit, url: server.url, close: () => server.close() }
}

/** One line per thing a person would want to know; what happens for every webhook that arrives is `debug`. */
function log(logger: Logger, event: CourierEvent): void {
  const { type, ...fields } = event
  logger[levelOf(event)](fields, type)
}

function levelOf(event: CourierEvent): 'warn' | 'info' | 'debug' {
  switch (event.type) {
    case 'redis-away':
    case 'redis-error':
    case 'settings-fault':
    case 'consumer-error':
    case 'log-failed':
    case 'endpoint-rests':
      return 'warn'
    case 'webhook-tried':
      return event.outcome === 'delivered' ? 'debug' : event.outcome === 'given_up' ? 'warn' : 'info'
    case 'redis-back':
    case 'webhook-dropped':
    case 'endpoint-works':
    case 'courier-ready':
      return 'info'
    default:
      return 'debug'
  }
}

function count(metrics: CourierMetrics, event: CourierEvent): void {
  switch (event.type) {
    case 'webhook-tried':
      metrics.tried({ ...event, seconds: event.tookMs / 1000 })
      break
    case 'webhook-put-off':
      metrics.putOff(event.why)
      break
    case 'endpoint-rests':
      metrics.restStarted()
      break
    case 'redis-away':
    case 'redis-error':
      metrics.redisError(event.role)
      break
  }
}
