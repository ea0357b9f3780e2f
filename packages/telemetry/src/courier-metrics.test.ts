import { expect, test } from 'vitest'
import { courierMetrics } from './courier-metrics.js'
import { createMetrics } from './metrics.js'

test('a courier counts tries by outcome and answer, tries put off, rests and Redis errors', async () => {
  const registry = createMetrics()
  const metrics = courierMetrics(registry)
  metrics.tried({ event: 'job.failed', outcome: 'delivered', statusCode: 204, seconds: 0.02 })
  metrics.tried({ event: 'job.failed', outcome: 'will_retry', statusCode: null, seconds: 15 })
  metrics.putOff('resting')
  metrics.restStarted()
  metrics.redisError('queue')
  const text = await registry.metrics()
  expect(text).toContain(
    'millrace_webhook_tries_total{event="job.failed",outcome="delivered",answer="2xx"} 1',
  )
  expect(text).toContain(
    'millrace_webhook_tries_total{event="job.failed",outcome="will_retry",answer="none"} 1',
  )
  expect(text).toContain('millrace_webhook_try_seconds_bucket{le="0.025"} 1')
  expect(text).toContain('millrace_webhook_put_off_total{why="resting"} 1')
  expect(text).toContain('millrace_webhook_rests_total 1')
  expect(text).toContain('millrace_redis_errors_total{role="queue"} 1')
})
