import { cacheRedis, collectEvents, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeVector } from './item-result.js'
import { type CacheEvent, ResultCache } from './result-cache.js'

let redis: RedisServer
let cache: ResultCache
const events = collectEvents<CacheEvent>()
const one = encodeVector(new Float32Array([1, 2, 3]))
const long = encodeVector(new Float32Array(384).fill(0.5))
let serial = 0
const key = () => `key-${serial++}`
const connect = (lruBytes = 0) => ResultCache.connect({ url: redis.url, lruBytes, ttlS: 60, on: events.on })

beforeAll(async () => {
  redis = await cacheRedis()
})
beforeEach(async () => {
  cache = await connect()
})
afterEach(() => cache.close())
afterAll(() => redis.stop())

describe('results', () => {
  it('answers in the order of the keys, with holes where nothing is known', async () => {
    const [known, unknown] = [key(), key()]
    await cache.setMany([{ key: known, value: one }])
    const lookup = await cache.getMany([unknown, known, unknown])
    expect(lookup).toEqual({ values: [undefined, one, undefined], lruHits: 0, redisHits: 1 })
  })

  it('does not ask Redis again for what it holds in process', async () => {
    const near = await connect(1 << 20)
    const known = key()
    await cache.setMany([{ key: known, value: one }])
    await near.getMany([known])
    expect(await near.getMany([known])).toEqual({ values: [one], lruHits: 1, redisHits: 0 })
    await near.close()
  })

  it('gives each result a buffer of its own: one that is kept never keeps a whole reply', async () => {
    const near = await connect(1 << 20)
    const [first, second] = [key(), key()]
    await cache.setMany([first, second].map((one) => ({ key: one, value: long })))
    const asked = await near.getMany([first, second])
    const kept = await near.getMany([first, second])
    expect(kept.lruHits).toBe(2)
    const claimed = await near.getOrClaim([first, second], 'a', 1000)
    const hits = claimed.flatMap((answer) => (answer.state === 'hit' ? [answer.value] : []))
    for (const found of [asked.values, kept.values, hits]) {
      expect(found.map((value) => value?.buffer.byteLength)).toEqual([long.length, long.length])
    }
    await near.close()
  })

  it('treats bytes it did not write as a miss, and lets them be computed again', async () => {
    const broken = key()
    await redis.client().set(`mr:{${broken}}:result`, 'rubbish')
    expect((await cache.getMany([broken])).values).toEqual([undefined])
    expect(await cache.getOrClaim([broken], 'a', 1000)).toEqual([{ state: 'claimed' }])
  })

  it('gives every result an end', async () => {
    const known = key()
    await cache.setMany([{ key: known, value: one }])
    const lifeMs = await redis.client().pttl(`mr:{${known}}:result`)
    expect(lifeMs).toBeGreaterThan(0)
    expect(lifeMs).toBeLessThanOrEqual(60_000)
  })
})

describe('claims', () => {
  it('gives an item to one owner; the other learns that it is being computed', async () => {
    const item = key()
    expect(await cache.getOrClaim([item], 'a', 5000)).toEqual([{ state: 'claimed' }])
    expect(await cache.getOrClaim([item], 'b', 5000)).toEqual([{ state: 'busy' }])
    expect(await cache.getOrClaim([item], 'a', 5000)).toEqual([{ state: 'claimed' }])
  })

  it('prefers a result to a claim', async () => {
    const item = key()
    await cache.getOrClaim([item], 'a', 5000)
    await cache.setMany([{ key: item, value: one }])
    expect(await cache.getOrClaim([item], 'b', 5000)).toEqual([{ state: 'hit', value: one }])
  })

  it('answers for many items at once, each in its place', async () => {
    const [known, own, others, free] = [key(), key(), key(), key()]
    await cache.setMany([{ key: known, value: one }])
    await cache.getOrClaim([own], 'a', 5000)
    await cache.getOrClaim([others], 'b', 5000)
    expect(await cache.getOrClaim([free, known, others, own], 'a', 5000)).toEqual([
      { state: 'claimed' },
      { state: 'hit', value: one },
      { state: 'busy' },
      { state: 'claimed' },
    ])
  })

  it('goes when results are stored, with what had none, and stays where another has it', async () => {
    const [done, failed, others] = [key(), key(), key()]
    await cache.getOrClaim([done, failed], 'a', 5000)
    await cache.getOrClaim([others], 'b', 5000)
    await cache.setMany([{ key: done, value: one }], { keys: [done, failed, others], owner: 'a' })
    expect(await redis.client().exists(`mr:{${done}}:claim`)).toBe(0)
    expect(await redis.client().pttl(`mr:{${done}}:result`)).toBeGreaterThan(50_000)
    expect(await cache.getOrClaim([done, failed, others], 'c', 5000)).toEqual([
      { state: 'hit', value: one },
      { state: 'claimed' },
      { state: 'busy' },
    ])
  })

  it('goes also where the result cannot be stored, so that another may compute it', async () => {
    const item = key()
    const told = collectEvents<CacheEvent>()
    const full = await ResultCache.connect({ url: redis.url, lruBytes: 0, ttlS: 60, on: told.on })
    await full.getOrClaim([item], 'a', 60_000)
    const client = redis.client()
    const [, policy = ''] = (await client.config('GET', 'maxmemory-policy')) as string[]
    await client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1')
    await full.setMany([{ key: item, value: one }], { keys: [item], owner: 'a' })
    await client.config('SET', 'maxmemory-policy', policy, 'maxmemory', '0')
    expect(told.all('cache-skipped')).toMatchObject([{ operation: 'set' }])
    await full.close()
    expect(await cache.getOrClaim([item], 'b', 5000)).toEqual([{ state: 'claimed' }])
  })

  it('can be released by its owner only', async () => {
    const item = key()
    await cache.getOrClaim([item], 'a', 5000)
    await cache.releaseClaims([item], 'b')
    expect(await cache.getOrClaim([item], 'b', 5000)).toEqual([{ state: 'busy' }])
    await cache.releaseClaims([item], 'a')
    expect(await cache.getOrClaim([item], 'b', 5000)).toEqual([{ state: 'claimed' }])
  })

  it('can be renewed by its owner only', async () => {
    const item = key()
    const lease = () => redis.client().pttl(`mr:{${item}}:claim`)
    await cache.getOrClaim([item], 'a', 5000)
    await cache.renewClaims([item], 'b', 60_000)
    expect(await lease()).toBeLessThanOrEqual(5000)
    await cache.renewClaims([item], 'a', 60_000)
    expect(await lease()).toBeGreaterThan(5000)
  })

  it('has an end, so that a dead owner holds nothing up', async () => {
    const item = key()
    await cache.getOrClaim([item], 'a', 1234)
    expect(await redis.client().pttl(`mr:{${item}}:claim`)).toBeLessThanOrEqual(1234)
  })
})

describe('asking an owner', () => {
  /** One who asks for `item`, and what the owner `owner` hears on its channel. */
  async function asking(listens: boolean) {
    const channel = `owner-${serial++}`
    const heard: string[] = []
    if (listens) {
      const client = redis.client()
      client.on('message', (_channel, message) => heard.push(message))
      await client.subscribe(channel)
    }
    const ask = (item: string, from = cache) =>
      from.getOrAsk(item, { owner: 'owner', leaseMs: 5000, channel, message: (of) => `compute ${of}` })
    return { ask, heard }
  }

  it('tells it what is missing, and has claimed it for it by then', async () => {
    const { ask, heard } = await asking(true)
    const item = key()
    expect(await ask(item)).toEqual({ state: 'asked' })
    await expect.poll(() => heard).toEqual([`compute ${item}`])
    expect(await cache.getOrClaim([item], 'other', 1000)).toEqual([{ state: 'busy' }])
    expect(await cache.getOrClaim([item], 'owner', 1000)).toEqual([{ state: 'claimed' }])
  })

  it('who does not listen leaves nothing claimed', async () => {
    const { ask } = await asking(false)
    const item = key()
    expect(await ask(item)).toEqual({ state: 'unheard' })
    expect(await cache.getOrClaim([item], 'other', 1000)).toEqual([{ state: 'claimed' }])
  })

  it('tells nobody of what another one computes, or what is known', async () => {
    const { ask, heard } = await asking(true)
    const [busy, known] = [key(), key()]
    await cache.getOrClaim([busy], 'other', 5000)
    await cache.setMany([{ key: known, value: one }])
    expect(await ask(busy)).toEqual({ state: 'missing' })
    expect(await ask(known)).toEqual({ state: 'hit', value: one, inProcess: false })
    const near = await connect(1 << 20)
    await near.getMany([known])
    expect(await ask(known, near)).toEqual({ state: 'hit', value: one, inProcess: true })
    await near.close()
    const last = key()
    await ask(last)
    await expect.poll(() => heard).toEqual([`compute ${last}`])
  })
})

describe('a cache that is away', () => {
  it('is a miss, a free claim and an event, and heals by itself', async () => {
    await redis.kill()
    await events.next('redis-away')
    const item = key()
    expect((await cache.getMany([item])).values).toEqual([undefined])
    expect(await cache.getOrClaim([item], 'a', 1000)).toEqual([{ state: 'claimed' }])
    const ask = { owner: 'a', leaseMs: 1000, channel: 'c', message: () => '' }
    expect(await cache.getOrAsk(item, ask)).toEqual({ state: 'missing' })
    await cache.setMany([{ key: item, value: one }])
    expect(cache.healthy).toBe(false)
    expect(events.all('cache-skipped').map(({ operation }) => operation)).toEqual([
      'get',
      'claim',
      'ask',
      'set',
    ])
    await redis.restart()
    await events.next('redis-back')
    expect((await cache.getMany([item])).values).toEqual([undefined])
    expect(cache.healthy).toBe(true)
  })

  it('that hangs costs a bounded wait', async () => {
    redis.pause()
    const startedMs = performance.now()
    expect((await cache.getMany([key()])).values).toEqual([undefined])
    expect(performance.now() - startedMs).toBeLessThan(2000)
    redis.resume()
  })
})

it('says which settings are wrong for a cache', async () => {
  expect(await cache.settingFaults()).toEqual([])
  await redis.client().config('SET', 'maxmemory-policy', 'noeviction')
  expect(await cache.settingFaults()).toEqual([expect.stringContaining('allkeys-lfu')])
})
