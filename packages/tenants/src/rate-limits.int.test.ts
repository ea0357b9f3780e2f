import { cacheRedis, collectEvents, eventually, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { RateLimits, TokensRefused } from './rate-limits.js'

let redis: RedisServer
const closers: (() => Promise<void>)[] = []
let serial = 0

beforeAll(async () => {
  redis = await cacheRedis()
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})
afterAll(() => redis.stop())

async function open(on?: Parameters<typeof RateLimits.connect>[0]['on']) {
  const limits = await RateLimits.connect({ url: redis.url, on })
  closers.push(() => limits.close())
  return limits
}

const newTenant = () => `tenant-${serial++}`

async function refusal(consuming: Promise<unknown>): Promise<TokensRefused> {
  const fault = await consuming.catch((error: unknown) => error)
  if (fault instanceof TokensRefused) return fault
  throw new Error('it was not refused', { cause: fault })
}

test('exactly the limit passes in a window, and a refused request costs nothing', async () => {
  const limits = await open()
  const tenant = newTenant()
  expect(await limits.consume(tenant, 900, 1000)).toEqual({ limit: 1000, remaining: 100, resetS: 60 })
  const refused = await refusal(limits.consume(tenant, 101, 1000))
  expect(refused).toMatchObject({ code: 'rate_limited', status: 429, retryable: true })
  expect(refused.budget).toMatchObject({ limit: 1000, remaining: 100 })
  expect(refused.retryAfterS).toBe(refused.budget.resetS)
  expect(refused.retryAfterS).toBeGreaterThan(0)
  expect(refused.retryAfterS).toBeLessThanOrEqual(60)
  expect(await limits.consume(tenant, 100, 1000)).toMatchObject({ remaining: 0 })
  expect((await refusal(limits.consume(tenant, 1, 1000))).budget.remaining).toBe(0)
  expect(await limits.consume(tenant, 0, 1000)).toMatchObject({ remaining: 0 })
})

test('the window ends 60 s after its first request, and the next has the whole limit', async () => {
  const limits = await open()
  const tenant = newTenant()
  await limits.consume(tenant, 10, 10)
  const client = redis.client()
  const [key = ''] = await client.keys(`*${tenant}`)
  expect(await client.pttl(key)).toBeGreaterThan(55_000)
  await limits.consume(tenant, 0, 10)
  await client.pexpire(key, 20)
  expect((await refusal(limits.consume(tenant, 1, 10))).retryAfterS).toBe(1)
  await eventually(async () => (await client.exists(key)) === 0)
  expect(await limits.consume(tenant, 10, 10)).toEqual({ limit: 10, remaining: 0, resetS: 60 })
})

test('two gateways share one budget: of 100 requests at once exactly those pass that fit', async () => {
  const gateways = [await open(), await open()]
  const tenant = newTenant()
  const outcomes = await Promise.allSettled(
    Array.from({ length: 100 }, (_, i) => gateways[i % 2]?.consume(tenant, 7, 300)),
  )
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(42)
  expect(await gateways[0]?.consume(tenant, 6, 300)).toMatchObject({ remaining: 0 })
})

test('keys of one tenant with different limits draw on one count', async () => {
  const limits = await open()
  const tenant = newTenant()
  await limits.consume(tenant, 60, 100)
  expect((await refusal(limits.consume(tenant, 1, 50))).budget).toMatchObject({ limit: 50, remaining: 0 })
  expect((await refusal(limits.consume(tenant, 51, 50))).code).toBe('body_too_large')
  expect(await limits.consume(tenant, 40, 100)).toMatchObject({ remaining: 0 })
  expect(await limits.consume(newTenant(), 50, 50)).toMatchObject({ remaining: 0 })
})

test('a request larger than the whole limit is refused for good, at once, and costs nothing', async () => {
  const limits = await open()
  const tenant = newTenant()
  const refused = await refusal(limits.consume(tenant, 1001, 1000))
  expect(refused).toMatchObject({
    code: 'body_too_large',
    status: 413,
    retryable: false,
    retryAfterS: undefined,
  })
  expect(refused.message).toContain('1001 input tokens')
  expect(refused.budget).toMatchObject({ limit: 1000, remaining: 1000 })
  expect(await limits.consume(tenant, 1000, 1000)).toMatchObject({ remaining: 0 })
})

test('while the cache Redis is away each gateway keeps the limit by itself', async () => {
  const server = await cacheRedis()
  closers.push(() => server.stop())
  const log = collectEvents<{ type: string }>()
  const limits = await RateLimits.connect({ url: server.url, on: log.on })
  closers.push(() => limits.close())
  const tenant = newTenant()
  await limits.consume(tenant, 5, 10)
  await server.kill()
  await log.next('redis-away')
  expect(await limits.consume(tenant, 8, 10)).toMatchObject({ limit: 10, remaining: 2 })
  expect((await refusal(limits.consume(tenant, 3, 10))).budget).toMatchObject({ limit: 10, remaining: 2 })
  expect((await refusal(limits.consume(tenant, 11, 10))).code).toBe('body_too_large')
  expect(await limits.consume(tenant, 2, 10)).toMatchObject({ remaining: 0 })
  await server.restart()
  await log.next('redis-back')
  expect(await limits.consume(tenant, 10, 10)).toMatchObject({ remaining: 0 })
})

test('a cache Redis that hangs is given up after half a second', async () => {
  const limits = await open()
  const tenant = newTenant()
  redis.pause()
  try {
    expect(await limits.consume(tenant, 10, 10)).toMatchObject({ remaining: 0 })
    expect((await refusal(limits.consume(tenant, 1, 10))).code).toBe('rate_limited')
  } finally {
    redis.resume()
  }
})
