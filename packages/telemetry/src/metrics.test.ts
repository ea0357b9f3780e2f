import { describe, expect, test } from 'vitest'
import { gatewayMetrics } from './gateway-metrics.js'
import { createMetrics, type QueueReading, queueMetrics } from './metrics.js'
import { workerMetrics } from './worker-metrics.js'

test('a gateway counts requests, cache results, refusals and Redis errors', async () => {
  const registry = createMetrics()
  const metrics = gatewayMetrics(registry)
  metrics.request({ route: '/v1/jobs', method: 'POST', status: 202, seconds: 0.004 })
  metrics.request({ route: '/v1/jobs', method: 'BREW', status: 405, seconds: 0.001 })
  metrics.cacheResults('hit', 'lru', 3)
  metrics.cacheResults('miss', 'redis')
  metrics.cacheResults('joined', 'claim', 0)
  metrics.refused('queue_full')
  metrics.redisError('queue')
  const text = await registry.metrics()
  expect(text).toContain('millrace_http_requests_total{route="/v1/jobs",method="POST",status="202"} 1')
  expect(text).toContain('millrace_http_requests_total{route="/v1/jobs",method="other",status="405"} 1')
  expect(text).toContain(
    'millrace_http_request_duration_seconds_bucket{le="0.005",route="/v1/jobs",method="POST"} 1',
  )
  expect(text).toContain('millrace_cache_results_total{result="hit",layer="lru"} 3')
  expect(text).toContain('millrace_cache_results_total{result="miss",layer="redis"} 1')
  expect(text).not.toContain('joined"')
  expect(text).toContain('millrace_admission_refusals_total{code="queue_full"} 1')
  expect(text).toContain('millrace_redis_errors_total{role="queue"} 1')
  expect(text).toContain('millrace_redis_errors_total{role="cache"} 0')
  expect(text).toContain('millrace_process_resident_memory_bytes')
})

test('a worker counts batches, padding, inference, restarts, settled jobs and chunks given back', async () => {
  const registry = createMetrics()
  const metrics = workerMetrics(registry)
  metrics.batch({ model: 'm', items: 8, realTokens: 200, paddedTokens: 240, seconds: 0.02 })
  metrics.modelProcessRestarted('m', 'crash')
  metrics.jobSettled('m', 'succeeded')
  metrics.chunksGivenBack('m', 4)
  const text = await registry.metrics()
  expect(text).toContain('millrace_batch_items_bucket{le="8",model="m"} 1')
  expect(text).toContain('millrace_batch_items_bucket{le="4",model="m"} 0')
  expect(text).toContain('millrace_batch_real_tokens_total{model="m"} 200')
  expect(text).toContain('millrace_batch_padded_tokens_total{model="m"} 240')
  expect(text).toContain('millrace_inference_seconds_sum{model="m"} 0.02')
  expect(text).toContain('millrace_model_process_restarts_total{model="m",reason="crash"} 1')
  expect(text).toContain('millrace_jobs_settled_total{model="m",status="succeeded"} 1')
  expect(text).toContain('millrace_chunks_given_back_total{model="m"} 4')
})

test('two processes of one test never share a registry', async () => {
  gatewayMetrics(createMetrics())
  expect(() => gatewayMetrics(createMetrics())).not.toThrow()
})

test('the delay of the event loop is sampled seldom enough to leave an idle process alone', async () => {
  const registry = createMetrics()
  await new Promise((resolve) => setTimeout(resolve, 200))
  const text = await registry.metrics()
  const least = /^millrace_nodejs_eventloop_lag_min_seconds (\S+)$/m.exec(text)?.[1]
  expect(Number(least)).toBeGreaterThan(0.04)
})

describe('queue gauges', () => {
  const reading: QueueReading = { model: 'm', waiting: 7, active: 2, oldestWaitMs: 1500 }

  test('are read once per scrape and show what was read', async () => {
    const registry = createMetrics()
    let reads = 0
    queueMetrics(registry, { read: async () => [{ ...reading, waiting: ++reads }] })
    await registry.metrics()
    const text = await registry.metrics()
    expect(reads).toBe(2)
    expect(text).toContain('millrace_queue_chunks{model="m",state="waiting"} 2')
    expect(text).toContain('millrace_queue_chunks{model="m",state="active"} 2')
    expect(text).toContain('millrace_queue_oldest_wait_seconds{model="m"} 1.5')
  })

  test('show no wait when nothing waits', async () => {
    const registry = createMetrics()
    queueMetrics(registry, { read: async () => [{ ...reading, waiting: 0, oldestWaitMs: null }] })
    expect(await registry.metrics()).toContain('millrace_queue_oldest_wait_seconds{model="m"} 0')
  })

  test('are absent, never stale, when the queues fail; the rest of the scrape stands', async () => {
    const registry = createMetrics()
    const errors: unknown[] = []
    let fail = false
    queueMetrics(registry, {
      read: () => (fail ? Promise.reject(new Error('away')) : Promise.resolve([reading])),
      onError: (error) => errors.push(error),
    })
    expect(await registry.metrics()).toContain('millrace_queue_chunks{')
    fail = true
    const text = await registry.metrics()
    expect(text).not.toContain('millrace_queue_chunks{')
    expect(text).not.toContain('millrace_queue_oldest_wait_seconds{')
    expect(text).toContain('millrace_process_resident_memory_bytes')
    expect(errors).toEqual([new Error('away')])
  })

  test('a read that throws at once costs the scrape nothing else', async () => {
    const registry = createMetrics()
    const errors: unknown[] = []
    queueMetrics(registry, {
      read: () => {
        throw new Error('closed')
      },
      onError: (error) => errors.push(error),
    })
    expect(await registry.metrics()).toContain('millrace_process_resident_memory_bytes')
    expect(errors).toEqual([new Error('closed')])
  })

  test('a read that hangs holds up one scrape for its time limit and is not asked again meanwhile', async () => {
    const registry = createMetrics()
    const errors: unknown[] = []
    let reads = 0
    queueMetrics(registry, {
      read: () => {
        reads++
        return new Promise(() => {})
      },
      timeoutMs: 20,
      onError: (error) => errors.push(String(error)),
    })
    await registry.metrics()
    expect(await registry.metrics()).not.toContain('millrace_queue_chunks{')
    expect(reads).toBe(1)
    expect(errors).toHaveLength(2)
    expect(errors[0]).toMatch(/did not answer within 20 ms/)
  })
})
