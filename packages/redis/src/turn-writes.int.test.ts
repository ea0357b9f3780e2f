/** Commands of one turn leave together, in their order, and each still has its own answer. */
import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { firstReady, openRedis } from './connection.js'

let server: RedisServer
beforeAll(async () => {
  server = await queueRedis()
})
afterAll(() => server.stop())

/** A connection, and how many system calls its writes have cost: one for each `_write` and each `_writev`. */
async function counted() {
  const redis = openRedis({ url: server.url, role: 'queue', failFast: true })
  await firstReady(redis, 5000)
  const stream = redis.stream as unknown as Record<'_write' | '_writev', (...given: unknown[]) => void>
  let writes = 0
  for (const name of ['_write', '_writev'] as const) {
    const real = stream[name].bind(stream)
    stream[name] = (...given) => {
      writes += 1
      real(...given)
    }
  }
  return { redis, writes: () => writes }
}

test('what is sent in one turn, also behind promises, is one write, and is run in order', async () => {
  const { redis, writes } = await counted()
  const later = async () => {
    await Promise.resolve()
    return redis.append('turn', 'c')
  }
  const lengths = await Promise.all([redis.append('turn', 'a'), redis.append('turn', 'bb'), later()])
  expect(lengths).toEqual([1, 3, 4])
  expect(await redis.get('turn')).toBe('abbc')
  expect(writes()).toBe(2)
  redis.disconnect()
})

test('a fault of one command is its own; those sent with it are answered', async () => {
  const { redis } = await counted()
  const [good, bad, last] = await Promise.allSettled([
    redis.set('text', 'x'),
    redis.incr('text'),
    redis.get('text'),
  ])
  expect([good.status, bad.status, last]).toEqual([
    'fulfilled',
    'rejected',
    { status: 'fulfilled', value: 'x' },
  ])
  redis.disconnect()
})

test('a connection that breaks before its turn is over leaves nobody waiting', async () => {
  const { redis } = await counted()
  const sent = redis.get('text')
  redis.stream.destroy()
  const [outcome] = await Promise.allSettled([sent])
  // Sent again on the next connection, or refused; never forgotten.
  expect(outcome.status === 'rejected' || outcome.value === 'x').toBe(true)
  redis.disconnect()
})
