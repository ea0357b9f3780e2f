/**
 * Owns: the registry of one process and what every Millrace process measures: itself, its Redis errors, cache
 * results, queues. What only a gateway or only a worker counts is in the file of that name.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { withTimeout } from './with-timeout.js'

/** Has `metrics(): Promise<string>` and `contentType`. Each process makes its own, so tests never share one. */
export type MetricsRegistry = Registry

/**
 * Between two samples of the event loop's delay, of which each wakes the process. The delay is measured from sample to sample,
 * so that a loop which is never late reads as this.
 */
const loopSampleMs = 50

/** With Node's own process metrics as `millrace_process_*` and `millrace_nodejs_*`. */
export function createMetrics(): MetricsRegistry {
  const registry = new Registry()
  collectDefaultMetrics({
    register: registry,
    prefix: 'millrace_',
    eventLoopMonitoringPrecision: loopSampleMs,
  })
  return registry
}

/** `joined`: another worker was computing it, so it was waited for. */
export type CacheResult = 'hit' | 'miss' | 'joined'
/** `lru`: in this process; `redis`: the shared cache; `claim`: the second look, when a worker takes the item. */
export type CacheLayer = 'lru' | 'redis' | 'claim'

export interface SharedMetrics {
  /** `count` items were answered alike. A miss is counted once, at the last layer asked. */
  cacheResults(result: CacheResult, layer: CacheLayer, count?: number): void
  redisError(role: 'queue' | 'cache'): void
}

export function sharedMetrics(registry: MetricsRegistry): SharedMetrics {
  const registers = [registry]
  const results = new Counter({
    name: 'millrace_cache_results_total',
    help: 'Items looked up in the result cache, by result (hit, miss, joined) and the layer that said so',
    labelNames: ['result', 'layer'],
    registers,
  })
  const errors = new Counter({
    name: 'millrace_redis_errors_total',
    help: 'Outages and failed commands, by Redis instance (queue, cache)',
    labelNames: ['role'],
    registers,
  })
  for (const role of ['queue', 'cache']) errors.inc({ role }, 0)
  return {
    cacheResults(result, layer, count = 1) {
      if (count > 0) results.inc({ result, layer }, count)
    },
    redisError: (role) => errors.inc({ role }),
  }
}

export interface QueueReading {
  model: string
  /** Chunks. */
  waiting: number
  active: number
  oldestWaitMs: number | null
}

export interface QueueMetricsOptions {
  /** Asked once per scrape. */
  read: () => Promise<readonly QueueReading[]>
  /** A scrape waits no longer than this; the gauges are then absent, never stale. Default 1000. */
  timeoutMs?: number
  onError?: (error: unknown) => void
}

/** Gauges of the queues, read when Prometheus asks. A Redis that is away costs a scrape its queue gauges only. */
export function queueMetrics(registry: MetricsRegistry, options: QueueMetricsOptions): void {
  const timeoutMs = options.timeoutMs ?? 1000
  let reading: Promise<readonly QueueReading[]> | undefined
  let scrape: Promise<void> | undefined

  async function refresh(): Promise<void> {
    reading ??= Promise.resolve()
      .then(options.read)
      .finally(() => {
        reading = undefined
      })
    const message = `the queues did not answer within ${timeoutMs} ms`
    let queues: readonly QueueReading[] = []
    try {
      queues = await withTimeout(reading, timeoutMs, message)
    } catch (error) {
      options.onError?.(error)
    }
    chunks.reset()
    oldest.reset()
    for (const { model, waiting, active, oldestWaitMs } of queues) {
      chunks.set({ model, state: 'waiting' }, waiting)
      chunks.set({ model, state: 'active' }, active)
      oldest.set({ model }, (oldestWaitMs ?? 0) / 1000)
    }
  }

  // Both gauges are collected in one turn and share one refresh.
  const collect = () => {
    scrape ??= refresh().finally(() => {
      scrape = undefined
    })
    return scrape
  }
  const chunks = new Gauge({
    name: 'millrace_queue_chunks',
    help: 'Chunks in the queue of a model, by state (waiting, active)',
    labelNames: ['model', 'state'],
    registers: [registry],
    collect,
  })
  const oldest = new Gauge({
    name: 'millrace_queue_oldest_wait_seconds',
    help: 'How long the oldest waiting chunk of a model has waited; 0 when none waits',
    labelNames: ['model'],
    registers: [registry],
    collect,
  })
}
