/** Listens to a gateway's events: logs for people, metrics for Prometheus. */
import type { Config } from '@millrace/config'
import {
  createLogger,
  createMetrics,
  type GatewayMetrics,
  gatewayMetrics,
  type Logger,
  type MetricsRegistry,
  safeEmitter,
} from '@millrace/telemetry'
import type { Emit, GatewayEvent } from './events.js'
import { shortVersion, versionsWords } from './version-words.js'

export interface Observed {
  readonly emit: Emit
  readonly logger: Logger
  readonly metrics: GatewayMetrics
  readonly registry: MetricsRegistry
}

export function observe(config: Config): Observed {
  const logger = createLogger({ level: config.LOG_LEVEL, name: 'gateway' })
  const registry = createMetrics()
  const metrics = gatewayMetrics(registry)
  const emit = safeEmitter<GatewayEvent>([(event) => log(logger, event), (event) => count(metrics, event)])
  return { emit, logger, metrics, registry }
}

function log(logger: Logger, event: GatewayEvent): void {
  const level = levelOf(event)
  if (!logger.isLevelEnabled(level)) return
  const { type, ...fields } = event
  logger[level](fields, wordsOf(event))
}

/** Most events say enough by their names. */
function wordsOf(event: GatewayEvent): string {
  switch (event.type) {
    case 'versions-differ':
      return `versions-differ: ${versionsWords(event.model, event.versions)}`
    case 'versions-agree':
      return `versions-agree: all workers run ${event.model} at version ${shortVersion(event.version)} now`
    default:
      return event.type
  }
}

function levelOf(event: GatewayEvent): 'error' | 'warn' | 'info' | 'debug' {
  switch (event.type) {
    case 'request-failed':
      return 'error'
    case 'redis-away':
    case 'redis-error':
    case 'settings-fault':
    case 'sample-failed':
    case 'tokenizer-missing':
    case 'versions-differ':
      return 'warn'
    case 'redis-back':
    case 'job-rebuilt':
    case 'versions-agree':
      return 'info'
    default:
      return 'debug'
  }
}

function count(metrics: GatewayMetrics, event: GatewayEvent): void {
  switch (event.type) {
    case 'items-looked-up':
      metrics.cacheResults('hit', 'lru', event.lruHits)
      metrics.cacheResults('hit', 'redis', event.redisHits)
      metrics.cacheResults('miss', 'redis', event.misses)
      break
    case 'refused':
      metrics.refused(event.code)
      break
    case 'redis-away':
    case 'redis-error':
      metrics.redisError(event.role)
      break
  }
}
