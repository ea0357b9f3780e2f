import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { MillraceError } from '@millrace/contracts'
import type { FoundKey } from '@millrace/tenants'
import { Hono } from 'hono'
import { afterEach, describe, expect, test } from 'vitest'
import type { GatewayEnv } from '../context.js'
import { problemResponse, toMillraceError } from '../error-response.js'
import { authenticate, requireScope } from './authenticate.js'

let server: ServerType | undefined
afterEach(() => {
  server?.close()
})

const reader: FoundKey = { id: '01', tenant: 'acme', scopes: ['read'], tokensPerMinute: 50 }
const keys = new Map([['good', reader]])

/** With a real server: a header of a refusal is set beside hono, in Node's own table. */
async function door(required: boolean, tenants: { any?: boolean; away?: boolean } = {}) {
  const app = new Hono<GatewayEnv>()
  const tell = <T>(answer: T): Promise<T> =>
    tenants.away ? Promise.reject(new MillraceError('queue_unavailable', 'away')) : Promise.resolve(answer)
  app.use(
    authenticate(
      { find: (key) => tell(keys.get(key)), anyKeys: () => tell(tenants.any ?? false) },
      { required },
    ),
  )
  app.get('/', (c) => c.json(c.get('tenant')))
  app.get('/read', requireScope('read'), (c) => c.text('read'))
  app.get('/submit', requireScope('submit'), (c) => c.text('submitted'))
  app.onError((error) => problemResponse(toMillraceError(error), 'r'))
  server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return (headers: Record<string, string> = {}, path = '/') =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers })
}

const openTenant = {
  name: 'default',
  scopes: ['submit', 'read', 'admin'],
  keyId: null,
  tokensPerMinute: null,
}
const acme = { name: 'acme', scopes: ['read'], keyId: '01', tokensPerMinute: 50 }

describe('while no key was ever made', () => {
  test('and none is required, everyone is the tenant default and may do all, whatever key they show', async () => {
    const ask = await door(false)
    expect(await (await ask()).json()).toEqual(openTenant)
    expect(await (await ask({ authorization: 'Bearer sk-anything' })).json()).toEqual(openTenant)
  })

  test('but one is required, nobody is let in', async () => {
    expect((await (await door(true))()).status).toBe(401)
  })
})

describe.each([
  ['required', true, {}],
  ['there', false, { any: true }],
])('with keys %s', (_, required, tenants) => {
  test.each<[string, Record<string, string>]>([
    ['a bearer token', { authorization: 'Bearer good' }],
    ['a bearer token, its scheme in any case', { authorization: 'bearer  good ' }],
    ['X-API-Key', { 'x-api-key': 'good' }],
    ['X-API-Key beside another scheme', { authorization: 'Basic Zm9v', 'x-api-key': 'good' }],
  ])('a key lets in as %s', async (_name, headers) => {
    const response = await (await door(required, tenants))(headers)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual(acme)
  })

  test.each<[string, Record<string, string>, string]>([
    ['no key', {}, 'Bearer realm="Millrace"'],
    ['another scheme', { authorization: 'Basic good' }, 'Bearer realm="Millrace"'],
    ['an empty key', { authorization: 'Bearer ', 'x-api-key': ' ' }, 'Bearer realm="Millrace"'],
    ['a wrong key', { authorization: 'Bearer goo' }, 'Bearer realm="Millrace", error="invalid_token"'],
    [
      'a wrong bearer token beside a good key',
      { authorization: 'Bearer goo', 'x-api-key': 'good' },
      'Bearer realm="Millrace", error="invalid_token"',
    ],
  ])('%s is 401 and asks for one', async (_name, headers, challenge) => {
    const response = await (await door(required, tenants))(headers)
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe(challenge)
    expect(await response.json()).toMatchObject({ code: 'unauthorized', retryable: false })
  })

  test('a key without the scope is 403, and told which it lacks', async () => {
    const ask = await door(required, tenants)
    expect((await ask({ 'x-api-key': 'good' }, '/read')).status).toBe(200)
    const response = await ask({ 'x-api-key': 'good' }, '/submit')
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toContain('scope="submit"')
    expect(await response.json()).toMatchObject({ code: 'forbidden' })
  })
})

test('where nobody can tell it is 503, neither open nor a wrong key', async () => {
  for (const required of [true, false]) {
    const response = await (await door(required, { away: true }))({ 'x-api-key': 'good' })
    expect(response.status).toBe(503)
    expect(response.headers.get('www-authenticate')).toBeNull()
    server?.close()
  }
})
