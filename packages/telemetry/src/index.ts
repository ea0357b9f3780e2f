export { type CourierMetrics, courierMetrics, type WebhookTry } from './courier-metrics.js'
export { type EventHandler, type OnListenerError, safeEmitter } from './events.js'
export { type GatewayMetrics, gatewayMetrics, type RequestSeen } from './gateway-metrics.js'
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './logger.js'
export { maskUrl } from './mask-url.js'
export {
  type CacheLayer,
  type CacheResult,
  createMetrics,
  type MetricsRegistry,
  type QueueMetricsOptions,
  type QueueReading,
  queueMetrics,
} from './metrics.js'
export {
  type Health,
  type MetricsServer,
  type MetricsServerOptions,
  startMetricsServer,
} from './metrics-server.js'
export { serializeError } from './redact.js'
export { TimeoutError, withTimeout } from './with-timeout.js'
export { type BatchRun, type WorkerMetrics, workerMetrics } from './worker-metrics.js'
