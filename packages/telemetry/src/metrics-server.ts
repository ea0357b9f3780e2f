/** Owns: the small HTTP server of a process that is no gateway: /metrics, /livez, /readyz, and nothing else. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { MetricsRegistry } from './metrics.js'

export interface Health {
  /** False asks for a restart. */
  live: boolean
  /** False: keep me running, send me nothing. */
  ready: boolean
  /** Says why, in words or data that anyone on this port may read. */
  detail?: unknown
}

export interface MetricsServerOptions {
  host: string
  /** 0 picks a free one. */
  port: number
  registry: MetricsRegistry
  health: () => Health
}

export interface MetricsServer {
  readonly url: string
  readonly port: number
  /** Twice is fine. */
  close(): Promise<void>
}

interface Answer {
  status: number
  type: string
  body: string
}

/** @throws the listen error (`EADDRINUSE`) */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    answer(request, options).then(
      (result) => send(request, response, result),
      () => send(request, response, text(500, 'the metrics could not be collected\n')),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: options.host, port: options.port }, resolve)
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  let closed: Promise<void> | undefined
  return {
    url: `http://${host}:${port}`,
    port,
    close() {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    },
  }
}

async function answer(request: IncomingMessage, options: MetricsServerOptions): Promise<Answer> {
  const path = (request.url ?? '').split('?', 1)[0]
  if (path !== '/metrics' && path !== '/livez' && path !== '/readyz') return text(404, 'not found\n')
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'method not allowed\n')
  if (path === '/metrics') {
    return { status: 200, type: options.registry.contentType, body: await options.registry.metrics() }
  }
  const health = readHealth(options)
  const good = path === '/livez' ? health.live : health.live && health.ready
  return { status: good ? 200 : 503, type: 'application/json', body: `${JSON.stringify(health)}\n` }
}

function readHealth(options: MetricsServerOptions): Health {
  try {
    return options.health()
  } catch {
    return { live: false, ready: false, detail: 'the health check failed' }
  }
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body }
}

function send(request: IncomingMessage, response: ServerResponse, result: Answer): void {
  response.writeHead(result.status, {
    'content-type': result.type,
    'content-length': Buffer.byteLength(result.body),
    'cache-control': 'no-store',
    ...(result.status === 405 ? { allow: 'GET, HEAD' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : result.body)
}
