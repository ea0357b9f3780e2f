import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { type TokenBudget, TokensRefused } from '@millrace/tenants'
import { Hono } from 'hono'
import { afterEach, expect, test } from 'vitest'
import type { GatewayEnv } from '../context.js'
import { problemResponse, toMillraceError } from '../error-response.js'
import { chargeTokens } from './rate-limit.js'

let server: ServerType | undefined
afterEach(() => {
  server?.close()
})

/** A request of 7 tokens, of a tenant with this limit. */
async function charge(tokensPerMinute: number | null, consume: () => Promise<TokenBudget>) {
  const app = new Hono<GatewayEnv>()
  const charged: unknown[] = []
  const limits = {
    consume: (...given: unknown[]) => {
      charged.push(given)
      return consume()
    },
  }
  app.get('/', async (c) => {
    c.set('tenant', { name: 'acme', scopes: [], keyId: '01', tokensPerMinute })
    await chargeTokens(c, limits, 7)
    return c.text('done')
  })
  app.onError((error) => problemResponse(toMillraceError(error), 'r'))
  server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  await once(server, 'listening')
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const told = ['limit', 'remaining', 'reset'].map((name) => response.headers.get(`ratelimit-${name}`))
  return { response, told, charged }
}

test('what is left of the minute is told with the answer', async () => {
  const { response, told, charged } = await charge(100, async () => ({
    limit: 100,
    remaining: 93,
    resetS: 60,
  }))
  expect(response.status).toBe(200)
  expect(charged).toEqual([['acme', 7, 100]])
  expect(told).toEqual(['100', '93', '60'])
})

test('a refusal is 429, says when to come back, and not earlier than the reset', async () => {
  const budget = { limit: 100, remaining: 3, resetS: 41 }
  const { response, told } = await charge(100, async () => {
    throw new TokensRefused('rate_limited', 'too many', budget)
  })
  expect(response.status).toBe(429)
  expect(response.headers.get('retry-after')).toBe('41')
  expect(told).toEqual(['100', '3', '41'])
  expect(await response.json()).toMatchObject({ code: 'rate_limited', retryable: true })
})

test('what can never pass is 413 and not told to come back', async () => {
  const { response, told } = await charge(5, async () => {
    throw new TokensRefused('body_too_large', 'larger than the limit', { limit: 5, remaining: 5, resetS: 60 })
  })
  expect(response.status).toBe(413)
  expect(response.headers.get('retry-after')).toBeNull()
  expect(told).toEqual(['5', '5', '60'])
  expect(await response.json()).toMatchObject({ code: 'body_too_large', retryable: false })
})

test('a tenant without a limit is neither counted nor told', async () => {
  const { response, told, charged } = await charge(null, () => Promise.reject(new Error('counted')))
  expect(response.status).toBe(200)
  expect(charged).toEqual([])
  expect(told).toEqual([null, null, null])
})
