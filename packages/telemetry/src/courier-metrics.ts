/** Owns: what only a courier counts: tries of webhooks and what they took, tries put off, endpoints given a rest. */
import { Counter, Histogram } from 'prom-client'
import { type MetricsRegistry, type SharedMetrics, sharedMetrics } from './metrics.js'

export interface WebhookTry {
  /** `job.succeeded` and its like. */
  event: string
  /** `delivered`, `will_retry`, `given_up`. */
  outcome: string
  /** The receiver's answer; null where there was none. */
  statusCode: number | null
  seconds: number
}

export interface CourierMetrics extends Pick<SharedMetrics, 'redisError'> {
  tried(seen: WebhookTry): void
  /** `busy`: the endpoint has enough in hand; `resting`: it failed too often. */
  putOff(why: 'busy' | 'resting'): void
  restStarted(): void
}

/** Makes each metric once: call it once per registry. */
export function courierMetrics(registry: MetricsRegistry): CourierMetrics {
  const registers = [registry]
  const tries = new Counter({
    name: 'millrace_webhook_tries_total',
    help: 'Tries to deliver a webhook, by outcome and the class of the answer (2xx, none)',
    labelNames: ['event', 'outcome', 'answer'],
    registers,
  })
  const duration = new Histogram({
    name: 'millrace_webhook_try_seconds',
    help: 'One try, from resolving the name to the end of the answer',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15],
    registers,
  })
  const putOff = new Counter({
    name: 'millrace_webhook_put_off_total',
    help: 'Deliveries put off without a try: their endpoint was busy, or resting after failures',
    labelNames: ['why'],
    registers,
  })
  const rests = new Counter({
    name: 'millrace_webhook_rests_total',
    help: 'Times an endpoint was given a rest because it failed again and again',
    registers,
  })
  const { redisError } = sharedMetrics(registry)
  return {
    redisError,
    tried({ event, outcome, statusCode, seconds }) {
      const answer = statusCode === null ? 'none' : `${Math.floor(statusCode / 100)}xx`
      tries.inc({ event, outcome, answer })
      duration.observe(seconds)
    },
    putOff: (why) => putOff.inc({ why }),
    restStarted: () => rests.inc(),
  }
}
