import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { eventually } from '@millrace/testkit'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AddressGuard, type AddressGuardOptions } from './address-guard.js'
import { type SendOptions, sendWebhook } from './send.js'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

async function listen(server: TcpServer, { host = '127.0.0.1', port = 0 } = {}): Promise<number> {
  server.listen(port, host)
  await once(server, 'listening')
  closers.push(async () => {
    if (server instanceof Server) server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** Reads the request to its end, then answers. */
const ok: RequestListener = (_, response) => response.end('ok')
async function receiver(answer = ok, at: { host?: string; port?: number } = {}) {
  const seen: { request: IncomingMessage; body: string }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    seen.push({ request, body: Buffer.concat(chunks).toString() })
    answer(request, response)
  })
  return { port: await listen(server, at), seen, server }
}

const send = (url: string, guard: AddressGuardOptions = {}, more: Partial<SendOptions> = {}) =>
  sendWebhook({
    guard: new AddressGuard(guard),
    url,
    headers: { 'webhook-id': 'msg_1' },
    body: '{"a":"é"}',
    nowMs: Date.now(),
    ...more,
  })
const loopback = { allowCidrs: ['127.0.0.0/8'], allowHttp: true }

describe('a receiver inside an allowed range', () => {
  it('gets the request once, and its answer is the outcome', async () => {
    const { port, seen } = await receiver()
    expect(await send(`http://127.0.0.1:${port}/hook?a=b`, loopback)).toEqual({
      kind: 'answered',
      statusCode: 200,
      retryAfterMs: undefined,
    })
    expect(seen).toHaveLength(1)
    const [{ request, body } = { request: undefined, body: '' }] = seen
    expect(request).toMatchObject({ method: 'POST', url: '/hook?a=b' })
    expect(request?.headers).toMatchObject({ 'webhook-id': 'msg_1', host: `127.0.0.1:${port}` })
    expect(body).toBe('{"a":"é"}')
  })

  it('is called by its checked address and by its own name, and the resolver is asked once', async () => {
    const { port, seen } = await receiver()
    const resolve = vi.fn(async () => ['127.0.0.1'])
    const url = `http://receiver.example:${port}/`
    expect(await send(url, { ...loopback, resolve })).toMatchObject({ statusCode: 200 })
    expect(seen[0]?.request.headers.host).toBe(`receiver.example:${port}`)
    expect(resolve.mock.calls).toEqual([['receiver.example']])
  })

  it('is found at its second address when the first one is dead', async () => {
    const { port } = await receiver()
    const resolve = async () => ['127.0.0.2', '127.0.0.1']
    expect(await send(`http://receiver.example:${port}/`, { ...loopback, resolve })).toMatchObject({
      statusCode: 200,
    })
  })

  it('is left alone afterwards: no connection stays open', async () => {
    const { port, server } = await receiver()
    await send(`http://127.0.0.1:${port}/`, loopback)
    const open = () => new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
    await eventually(async () => (await open()) === 0)
  })

  it.each([
    ['2', 2000],
    ['Fri, 01 Jan 2999 00:00:00 GMT', 86_400_000],
  ])('may ask for time: Retry-After: %s', async (header, waitMs) => {
    const { port } = await receiver((_, response) => response.writeHead(503, { 'retry-after': header }).end())
    expect(await send(`http://127.0.0.1:${port}/`, loopback)).toEqual({
      kind: 'answered',
      statusCode: 503,
      retryAfterMs: waitMs,
    })
  })

  it('that sends more than 64 kB is cut, and its status counts', async () => {
    let sent = 0
    const { port } = await receiver((_, response) => {
      const chunk = Buffer.alloc(64 * 1024)
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
      }
      response.writeHead(200).on('drain', more)
      more()
    })
    expect(await send(`http://127.0.0.1:${port}/`, loopback)).toMatchObject({ statusCode: 200 })
    // What it could write before it was cut is what two sockets buffer.
    expect(sent).toBeLessThan(32 << 20)
  })
})

describe('a receiver that gives no good answer', () => {
  it('is cut at the time limit when it never answers', async () => {
    const { port } = await receiver(() => {})
    expect(await send(`http://127.0.0.1:${port}/`, loopback, { limitMs: 50 })).toEqual({
      kind: 'failed',
      error: 'no answer within the time limit',
    })
  })

  it('is cut at the time limit when its answer does not end, and its status counts', async () => {
    const { port } = await receiver((_, response) => response.writeHead(200).write('x'))
    expect(await send(`http://127.0.0.1:${port}/`, loopback, { limitMs: 300 })).toMatchObject({
      statusCode: 200,
    })
  })

  it('is let go when the sender is told to stop', async () => {
    const stop = new AbortController()
    const { port } = await receiver(() => stop.abort())
    expect(await send(`http://127.0.0.1:${port}/`, loopback, { signal: stop.signal })).toMatchObject({
      kind: 'failed',
    })
  })

  it('is not even asked by a sender that was told to stop before', async () => {
    const { port, seen } = await receiver()
    const signal = AbortSignal.abort()
    expect(await send(`http://127.0.0.1:${port}/`, loopback, { signal })).toMatchObject({ kind: 'failed' })
    expect(seen).toEqual([])
  })

  it('is a failure with a code and without an address when nobody listens or the line breaks', async () => {
    const { port, server } = await receiver((request) => request.socket.destroy())
    expect(await send(`http://127.0.0.1:${port}/`, loopback)).toEqual({
      kind: 'failed',
      error: 'the request failed: UND_ERR_SOCKET',
    })
    await new Promise((resolve) => server.close(resolve))
    expect(await send(`http://127.0.0.1:${port}/`, loopback)).toEqual({
      kind: 'failed',
      error: 'the request failed: ECONNREFUSED',
    })
  })

  it('over TLS is greeted by its name, though it is called by its address', async () => {
    let hello = ''
    const port = await listen(
      createTcpServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', (data) => {
          hello = data.toString('latin1')
          socket.destroy()
        })
      }),
    )
    const guard = { ...loopback, resolve: async () => ['127.0.0.1'] }
    expect(await send(`https://receiver.example:${port}/`, guard)).toMatchObject({ kind: 'failed' })
    expect(hello).toContain('receiver.example')
  })
})

describe('what may not be called is not even connected to', () => {
  /** On every address of this machine, so that whatever form of "here" slips through is seen. */
  let canary: { port: number; connections: number }
  beforeEach(async () => {
    const server = createTcpServer((socket) => {
      canary.connections += 1
      socket.destroy()
    })
    server.listen(0)
    await once(server, 'listening')
    canary = { port: (server.address() as AddressInfo).port, connections: 0 }
    closers.push(async () => server.close())
  })
  const http = { allowHttp: true }

  it('while a connection to it would be seen', async () => {
    await send(`http://127.0.0.1:${canary.port}/`, loopback)
    expect(canary.connections).toBe(1)
  })

  it.each(
    [
      '2130706433 0x7f.1 127.1 127.0.0.1 0.0.0.0 [::] [::1] [::ffff:7f00:1] [::7f00:1] [64:ff9b::7f00:1]',
      '169.254.169.254 100.64.0.1 10.0.0.1 192.168.0.1 [fe80::1] [fc00::1] localhost user@127.0.0.1 user:pw@name.example',
    ].flatMap((line) => line.split(' ')),
  )('%s', async (host) => {
    expect(await send(`http://${host}:${canary.port}/`, http)).toMatchObject({ kind: 'refused' })
    expect(canary.connections).toBe(0)
  })

  // Some resolvers know this form and some do not.
  it('localhost. with its root', async () => {
    expect((await send(`http://localhost.:${canary.port}/`, http)).kind).not.toBe('answered')
    const resolve = async () => ['127.0.0.1']
    expect((await send(`http://localhost.:${canary.port}/`, { ...http, resolve })).kind).toBe('refused')
    expect(canary.connections).toBe(0)
  })

  it('a name with one bad answer among good ones', async () => {
    const resolve = async () => ['93.184.216.34', '127.0.0.1']
    const outcome = await send(`http://mixed.example:${canary.port}/`, { ...http, resolve })
    expect(outcome).toEqual({ kind: 'refused', error: 'mixed.example is not a public address' })
    expect(canary.connections).toBe(0)
  })

  it('a name that has another address at the second question', async () => {
    const { port, seen } = await receiver()
    const inside = await receiver(undefined, { host: '127.0.0.2', port })
    const answers = [['127.0.0.1'], ['127.0.0.2']]
    const resolve = vi.fn(async () => answers.shift() ?? [])
    const rebinding = { ...http, allowCidrs: ['127.0.0.1/32'], resolve }
    const url = `http://rebinding.example:${port}/`
    expect(await send(url, rebinding)).toMatchObject({ kind: 'answered', statusCode: 200 })
    expect(resolve).toHaveBeenCalledTimes(1)
    expect(await send(url, rebinding)).toMatchObject({ kind: 'refused' })
    expect([seen.length, inside.seen.length]).toEqual([1, 0])
  })

  it('where a redirect of an allowed receiver points to', async () => {
    const location = `http://127.0.0.1:${canary.port}/`
    const { port } = await receiver((_, response) => response.writeHead(302, { location }).end())
    expect(await send(`http://127.0.0.1:${port}/`, loopback)).toMatchObject({
      kind: 'answered',
      statusCode: 302,
    })
    expect(canary.connections).toBe(0)
  })

  it('http without permission', async () => {
    const outcome = await send(`http://127.0.0.1:${canary.port}/`, { allowCidrs: ['127.0.0.0/8'] })
    expect(outcome).toEqual({ kind: 'refused', error: 'only https can be called' })
    expect(canary.connections).toBe(0)
  })
})

it('a proxy in the environment is not used', async () => {
  const { port, seen } = await receiver()
  const proxy = await receiver()
  vi.stubEnv('http_proxy', `http://127.0.0.1:${proxy.port}`)
  vi.stubEnv('HTTP_PROXY', `http://127.0.0.1:${proxy.port}`)
  await send(`http://127.0.0.1:${port}/`, loopback)
  vi.unstubAllEnvs()
  expect([seen.length, proxy.seen.length]).toEqual([1, 0])
})
