import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { GatewayEnv } from '../context.js'
import { requireAdminKey } from './admin-key.js'

function door(adminKey: string, listensOn = '127.0.0.1') {
  const app = new Hono<GatewayEnv>()
  app.use(requireAdminKey(adminKey, listensOn))
  app.get('/', (c) => c.text('inside'))
  return async (headers: Record<string, string>, remoteAddress = '203.0.113.9') => {
    const incoming = { socket: { remoteAddress, remotePort: 1, remoteFamily: 'IPv4' } }
    return app.request('/', { headers: { host: 'example.org', ...headers } }, { incoming })
  }
}

const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

test.each([
  ['basic authentication, whatever the name', basic('anyone:s3:cret')],
  ['a bearer token', { authorization: 'Bearer s3:cret' }],
])('the key lets in as %s', async (_name, headers) => {
  expect((await door('s3:cret')(headers)).status).toBe(200)
})

test.each<[string, Record<string, string>]>([
  ['no key', {}],
  ['a wrong one', basic('admin:s3:cre')],
  ['the key as the name', basic('s3:cret:')],
  ['a wrong token', { authorization: 'Bearer s3:crett' }],
  ['another scheme', { authorization: 'Digest s3:cret' }],
  ['an empty token', { authorization: 'Bearer ' }],
])('%s is 401, also from this machine, and asks for the key', async (_name, headers) => {
  const response = await door('s3:cret')({ host: 'localhost', ...headers }, '127.0.0.1')
  expect(response.status).toBe(401)
  expect(response.headers.get('www-authenticate')).toMatch(/^Basic /)
  expect(await response.json()).toMatchObject({ code: 'unauthorized' })
})

test.each([
  ['127.0.0.1', 'localhost:8080', 200],
  ['::1', '[::1]:8080', 200],
  ['::ffff:127.0.0.1', '127.0.0.1', 200],
  ['203.0.113.9', 'localhost', 401],
  ['127.0.0.1', 'evil.example', 401],
  ['127.0.0.1', 'localhost.evil.example', 401],
])('without a key, %s asking for %s is %i', async (address, host, status) => {
  expect((await door('')({ host }, address)).status).toBe(status)
})

test('without a key a gateway that others can reach has no dashboard, not even for this machine', async () => {
  const response = await door('', '0.0.0.0')({ host: 'localhost' }, '127.0.0.1')
  expect(response.status).toBe(401)
})
