import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { AddressGuard, type AddressGuardOptions } from './address-guard.js'
import { type FetchOptions, fetchFile } from './fetch-file.js'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function server(answer: RequestListener): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const http = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(http, 'listening')
  closers.push(() => {
    http.closeAllConnections()
    http.close()
  })
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, asked }
}

const loopback = { allowCidrs: ['127.0.0.0/8'], allowHttp: true }
const get = (url: string, guard: AddressGuardOptions = loopback, more: Partial<FetchOptions> = {}) =>
  fetchFile({ guard: new AddressGuard(guard), url, maxBytes: 100, limitMs: 5000, ...more })

it('a file inside the limit comes whole, path and query as given', async () => {
  const { url, asked } = await server((_, response) => response.end('0123456789'))
  expect(await get(`${url}/a/b.png?c=d`)).toEqual({ kind: 'fetched', bytes: Buffer.from('0123456789') })
  expect(asked).toEqual(['GET /a/b.png?c=d'])
})

it('a private address is never called: by number, by name, or over http', async () => {
  const { url, asked } = await server((_, response) => response.end('secret'))
  const port = new URL(url).port
  const refused = { kind: 'refused' }
  expect(await get(url, { allowHttp: true })).toMatchObject(refused)
  expect(await get(`http://2130706433:${port}/`, { allowHttp: true })).toMatchObject(refused)
  expect(await get(`http://[::ffff:127.0.0.1]:${port}/`, { allowHttp: true })).toMatchObject(refused)
  const inward = { allowHttp: true, resolve: async () => ['93.184.216.34', '127.0.0.1'] }
  expect(await get(`http://cdn.example:${port}/`, inward)).toMatchObject(refused)
  expect(await get(url, { allowCidrs: ['127.0.0.0/8'] })).toMatchObject(refused)
  expect(asked).toEqual([])
})

it('what was resolved when it was checked is what is called', async () => {
  const { url } = await server((_, response) => response.end('ok'))
  let asked = 0
  const resolve = async () => (++asked === 1 ? ['127.0.0.1'] : ['10.0.0.1'])
  const { port } = new URL(url)
  expect(await get(`http://cdn.example:${port}/`, { ...loopback, resolve })).toMatchObject({
    kind: 'fetched',
  })
  expect(asked).toBe(1)
})

it('a redirect is not followed', async () => {
  const inside = await server((_, response) => response.end('secret'))
  const { url } = await server((_, response) => response.writeHead(302, { location: inside.url }).end())
  expect(await get(url)).toEqual({ kind: 'failed', error: 'the server answered with a redirect (302)' })
  expect(inside.asked).toEqual([])
})

it('a file that is too large ends at the limit, declared or not', async () => {
  const declared = await server((_, response) => response.end(Buffer.alloc(101)))
  expect(await get(declared.url)).toMatchObject({ kind: 'too_large' })
  const endless = await server((_, response) => {
    const more = () => {
      while (response.write(Buffer.alloc(64)));
    }
    response.on('drain', more)
    more()
  })
  expect(await get(endless.url)).toMatchObject({ kind: 'too_large' })
})

it('a server that never ends its answer is left at the time limit', async () => {
  const { url } = await server((_, response) => {
    response.write('half')
  })
  expect(await get(url, loopback, { limitMs: 200 })).toEqual({
    kind: 'failed',
    error: 'took longer than 200 ms',
  })
})

it('a file that is not there, and a server that is not, are failures that name no address', async () => {
  const { url } = await server((_, response) => response.writeHead(404).end('nothing here'))
  expect(await get(url)).toEqual({ kind: 'failed', error: 'the server answered with status 404' })
  const gone = await get('http://127.0.0.1:1/x')
  expect(gone).toMatchObject({ kind: 'failed' })
  expect(JSON.stringify(gone)).not.toContain('127.0.0.1')
})
