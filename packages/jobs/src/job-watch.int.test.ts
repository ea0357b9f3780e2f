import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { JobStore } from './job-store.js'
import { now } from './job-under-test.js'
import { JobWatch } from './job-watch.js'

let redis: RedisServer
const stores: JobStore[] = []
/** Those of two sweepers. */
let one: JobWatch
let two: JobWatch

const leaseMs = 30_000
const names = (count: number) => Array.from({ length: count }, (_, i) => `job-${String(i).padStart(3, '0')}`)

beforeAll(async () => {
  redis = await queueRedis()
  for (let i = 0; i < 2; i++) stores.push(await JobStore.connect({ url: redis.url, role: 'worker' }))
  const [first, second] = stores.map((store) => new JobWatch(store))
  if (!first || !second) throw new Error('two are needed')
  one = first
  two = second
})
beforeEach(() => redis.client().flushall())
afterAll(async () => {
  for (const store of stores) await store.close()
  await redis.stop()
})

it('a job is due from its moment on, and not before', async () => {
  await one.at('j', now)
  expect(await one.takeDue(now - 1, leaseMs, 10)).toEqual([])
  expect(await one.takeDue(now, leaseMs, 10)).toEqual(['j'])
})

it('those that are due longest come first, and no more than asked for', async () => {
  for (const [i, id] of names(5).entries()) await one.at(id, now - i)
  expect(await one.takeDue(now, leaseMs, 3)).toEqual(['job-004', 'job-003', 'job-002'])
  expect(await two.takeDue(now, leaseMs, 3)).toEqual(['job-001', 'job-000'])
})

it('two sweepers never both take one, and together they take all', async () => {
  const all = names(200)
  await Promise.all(all.map((id) => one.at(id, now)))
  const taken = await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 2 ? one : two).takeDue(now, leaseMs, 7)),
  )
  expect(taken.flat().sort()).toEqual(all)
  expect(await one.takeDue(now, leaseMs, 7)).toEqual([])
})

it('one that was taken is due again when its lease is over: its sweeper may be dead', async () => {
  await one.at('j', now)
  await one.takeDue(now, leaseMs, 10)
  expect(await two.takeDue(now + leaseMs - 1, leaseMs, 10)).toEqual([])
  expect(await two.takeDue(now + leaseMs, leaseMs, 10)).toEqual(['j'])
})

it('a later call moves it, to sooner and to later', async () => {
  await one.at('j', now + 1000)
  await one.at('j', now)
  expect(await two.takeDue(now, leaseMs, 10)).toEqual(['j'])
  await one.at('j', now + 2 * leaseMs)
  expect(await two.takeDue(now + leaseMs, leaseMs, 10)).toEqual([])
  expect(await two.takeDue(now + 2 * leaseMs, leaseMs, 10)).toEqual(['j'])
})

it('one that was put on a new time while somebody looked at it is not forgotten', async () => {
  await one.at('j', now)
  await one.takeDue(now, leaseMs, 10)
  await two.at('j', now + 500)
  await one.forget('j', now + leaseMs)
  expect(await one.takeDue(now + 500, leaseMs, 10)).toEqual(['j'])
  await one.forget('j', now + 500 + leaseMs)
})

it('one that is forgotten is never due again, and leaves nothing behind', async () => {
  await one.at('j', now)
  await one.takeDue(now, leaseMs, 10)
  await two.forget('j', now + leaseMs)
  await two.forget('j', now + leaseMs)
  expect(await one.takeDue(now + 2 * leaseMs, leaseMs, 10)).toEqual([])
  expect(await redis.client().keys('*')).toEqual([])
})
