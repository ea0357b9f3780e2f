/** Owns: what only a gateway counts: requests and refusals. Labels hold route patterns, never paths or ids. */
import { Counter, Histogram } from 'prom-client'
import { type MetricsRegistry, type SharedMetrics, sharedMetrics } from './metrics.js'

export interface RequestSeen {
  /** The pattern, `/v1/jobs/{id}`; `unmatched` where there was none. */
  route: string
  method: string
  status: number
  seconds: number
}

export interface GatewayMetrics extends SharedMetrics {
  request(seen: RequestSeen): void
  /** Admission said no; `code` is one of the contracts' error codes. */
  refused(code: string): void
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Makes each metric once: call it once per registry. */
export function gatewayMetrics(registry: MetricsRegistry): GatewayMetrics {
  const registers = [registry]
  const requests = new Counter({
    name: 'millrace_http_requests_total',
    help: 'HTTP requests answered',
    labelNames: ['route', 'method', 'status'],
    registers,
  })
  const duration = new Histogram({
    name: 'millrace_http_request_duration_seconds',
    help: 'From the request head to the answer; a `Prefer: wait` is part of it',
    labelNames: ['route', 'method'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  })
  const refusals = new Counter({
    name: 'millrace_admission_refusals_total',
    help: 'Submits refused before anything was stored, by error code',
    labelNames: ['code'],
    registers,
  })
  return {
    ...sharedMetrics(registry),
    request({ route, method, status, seconds }) {
      const known = methods.has(method) ? method : 'other'
      requests.inc({ route, method: known, status })
      duration.observe({ route, method: known }, seconds)
    },
    refused: (code) => refusals.inc({ code }),
  }
}
