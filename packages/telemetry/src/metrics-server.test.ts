import { afterEach, expect, test } from 'vitest'
import { createMetrics } from './metrics.js'
import { type Health, type MetricsServer, startMetricsServer } from './metrics-server.js'
import { workerMetrics } from './worker-metrics.js'

let server: MetricsServer | undefined
afterEach(() => server?.close())

async function start(health: () => Health = () => ({ live: true, ready: true })) {
  const registry = createMetrics()
  workerMetrics(registry)
  server = await startMetricsServer({ host: '127.0.0.1', port: 0, registry, health })
  return { server, registry }
}

test('/metrics answers the registry in the Prometheus text format', async () => {
  const { server } = await start()
  const response = await fetch(`${server.url}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  expect(await response.text()).toContain('# TYPE millrace_inference_seconds histogram')
})

test.each([
  [{ live: true, ready: true }, 200, 200],
  [{ live: true, ready: false }, 200, 503],
  [{ live: false, ready: false }, 503, 503],
  [{ live: false, ready: true }, 503, 503],
])('health %o answers /livez with %i and /readyz with %i', async (health, livez, readyz) => {
  const { server } = await start(() => ({ ...health, detail: { models: ['m'] } }))
  const live = await fetch(`${server.url}/livez`)
  expect(live.status).toBe(livez)
  expect(await live.json()).toEqual({ ...health, detail: { models: ['m'] } })
  expect((await fetch(`${server.url}/readyz`)).status).toBe(readyz)
})

test('a health check that throws is not ready, and its words stay inside', async () => {
  const { server } = await start(() => {
    throw new Error('private')
  })
  const response = await fetch(`${server.url}/readyz`)
  expect(response.status).toBe(503)
  expect(await response.text()).not.toContain('private')
})

test('nothing else is served', async () => {
  const { server } = await start()
  expect((await fetch(`${server.url}/`)).status).toBe(404)
  expect((await fetch(`${server.url}/metrics/x`)).status).toBe(404)
  const posted = await fetch(`${server.url}/metrics`, { method: 'POST', body: 'x' })
  expect(posted.status).toBe(405)
  expect(posted.headers.get('allow')).toBe('GET, HEAD')
  const head = await fetch(`${server.url}/metrics`, { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
})

test('metrics that cannot be collected are a 500 without the cause', async () => {
  const { server, registry } = await start()
  registry.metrics = () => Promise.reject(new Error('private'))
  const response = await fetch(`${server.url}/metrics`)
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('private')
})

test('a taken port is an error at the start, and close ends every connection, twice too', async () => {
  const { server, registry } = await start()
  const health = () => ({ live: true, ready: true })
  const second = startMetricsServer({ host: '127.0.0.1', port: server.port, registry, health })
  await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await fetch(`${server.url}/livez`)
  await server.close()
  await server.close()
  await expect(fetch(`${server.url}/livez`)).rejects.toThrow()
})
