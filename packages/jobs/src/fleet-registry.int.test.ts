import type { ModelFacts, Serving } from '@millrace/contracts'
import { eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { FleetRegistry, type WorkerAnnouncement } from './fleet-registry.js'

let redis: RedisServer
let registry: FleetRegistry
beforeAll(async () => {
  redis = await queueRedis()
  registry = await FleetRegistry.connect({ url: redis.url })
  await eventually(() => registry.read().then(() => true))
})
beforeEach(() => redis.client().flushall())
afterAll(async () => {
  await registry?.close()
  await redis?.stop()
})

const factsOf = (version: string): ModelFacts => ({
  version,
  task: 'feature-extraction',
  dtype: 'q8',
  dimensions: 3,
  max_tokens: 8,
  batching: { mode: 'batched', probe_difference: 0 },
})
const servingOf = (version: string): Serving => ({
  version,
  dtype: 'q8',
  batching: { mode: 'batched', tokens: 256, items: 32, timeout_ms: 30_000 },
  processes: 1,
  threads: 1,
  tokens_per_s: 1000,
})
const worker = (id: string, version = 'v', startedAtMs = 1): WorkerAnnouncement => ({
  id,
  startedAtMs,
  models: { m: { chunksDone: 2, itemsDone: 3, serving: servingOf(version) } },
})
const announce = (id: string, version: string, startedAtMs: number) =>
  registry.announce(worker(id, version, startedAtMs), new Map([['m', factsOf(version)]]))
const knownVersion = async () => (await registry.read()).models.get('m')?.version

it('lists live workers with what they say of their models, keeps what these are, and drops who withdrew or fell silent', async () => {
  await announce('a', 'v', 1)
  await registry.announce(worker('b'), new Map())
  const silent = `${Date.now() - 60_000}:${JSON.stringify(worker('c'))}`
  await redis.client().hset('mr:{fleet}:workers', 'c', silent)
  expect((await registry.read()).workers).toEqual([worker('a'), worker('b')])
  await registry.withdraw('a')
  await registry.withdraw('b')
  expect(await registry.read()).toEqual({ workers: [], models: new Map([['m', factsOf('v')]]) })
})

it('of two versions knows that of the worker that started last, whoever speaks last', async () => {
  await announce('new', 'v2', 200)
  await announce('old', 'v1', 100)
  expect(await knownVersion()).toBe('v2')
  await announce('newest', 'v3', 300)
  await announce('new', 'v2', 200)
  expect(await knownVersion()).toBe('v3')
})

it('goes back to the older version once nobody of the newer was heard of for a while', async () => {
  await announce('new', 'v2', 200)
  await announce('old', 'v1', 100)
  const held = await redis.client().hget('mr:{fleet}:models', 'm')
  const longAgo = held?.replace(/^(\d+):\d+:/, `$1:${Date.now() - 60_000}:`) ?? ''
  await redis.client().hset('mr:{fleet}:models', 'm', longAgo)
  expect(await knownVersion()).toBe('v2')
  await announce('old', 'v1', 100)
  expect(await knownVersion()).toBe('v1')
})

it('takes an older worker of the newer version for news of that version', async () => {
  await announce('new', 'v2', 200)
  await announce('same', 'v2', 50)
  await announce('old', 'v1', 100)
  expect(await knownVersion()).toBe('v2')
})
