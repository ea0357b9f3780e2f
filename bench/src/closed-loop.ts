/**
 * A closed loop on loopback: each connection sends its next request when its last one is answered. Bounded by time and
 * by count; an answer other than 200 or one that is wrong in shape ends the run. What is answered while the time runs counts:
 * neither the moment in which the first requests fill the fleet nor the one in which the last ones leave it empty.
 */
import { HttpConnection } from './http-connection.js'

export interface LoopOptions {
  url: string
  connections: number
  /** What is answered in these counts. */
  seconds: number
  /** Of load before that. Default 0. */
  leadInSeconds?: number
  /** Ends the run when so many were sent; the time may end it before. */
  requests?: number
  /** The body of the next request and how many texts it holds. */
  next: () => { body: string; texts: number }
}

export interface LoopResult {
  requestsPerS: number
  textsPerS: number
  latencyMs: { p50: number; p95: number; p99: number }
  requests: number
  /** CPU seconds of this process per second: the load generator's own share of the machine. */
  generatorCores: number
}

export const requestLimitMs = 60_000
const maxRequests = 2_000_000

export async function closedLoop(options: LoopOptions): Promise<LoopResult> {
  const open: HttpConnection[] = []
  const latencies: number[] = []
  let texts = 0
  let sent = 0
  const limit = Math.min(options.requests ?? maxRequests, maxRequests)
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const fromMs = startedMs + (options.leadInSeconds ?? 0) * 1000
  const endMs = fromMs + options.seconds * 1000
  const connection = async () => {
    const client = await HttpConnection.open(options.url, requestLimitMs)
    open.push(client)
    while (performance.now() < endMs && sent < limit) {
      sent += 1
      const { body, texts: count } = options.next()
      const sentMs = performance.now()
      await postJob(client, body)
      const answeredMs = performance.now()
      if (answeredMs < fromMs || answeredMs > endMs) continue
      latencies.push(answeredMs - sentMs)
      texts += count
    }
  }
  try {
    await Promise.all(Array.from({ length: options.connections }, connection))
  } finally {
    for (const client of open) client.close()
  }
  const doneMs = performance.now()
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (Math.min(doneMs, endMs) - fromMs) / 1000
  latencies.sort((a, b) => a - b)
  return {
    requestsPerS: latencies.length / seconds,
    textsPerS: texts / seconds,
    latencyMs: { p50: at(latencies, 0.5), p95: at(latencies, 0.95), p99: at(latencies, 0.99) },
    requests: latencies.length,
    generatorCores: (user + system) / 1000 / (doneMs - startedMs),
  }
}

/** One job, waited for. @throws Error when it is not answered in full */
export async function postJob(connection: HttpConnection, body: string): Promise<void> {
  const answer = await connection.post('/v1/jobs', body, 'prefer: wait=60\r\n')
  if (answer.status !== 200) {
    throw new Error(`the gateway answered ${answer.status}: ${answer.body().slice(0, 300)}`)
  }
}

/** The value that the given share of the sorted values does not exceed (nearest rank). */
export function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
