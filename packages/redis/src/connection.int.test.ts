/** A Redis is reached by a port or by a Unix socket, under the same rules. */
import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { closeRedis, firstReady, openRedis, type RedisEvent } from './connection.js'

let server: RedisServer
beforeAll(async () => {
  server = await queueRedis()
})
afterAll(() => server.stop())

describe.each(['url', 'socketUrl'] as const)('a connection by %s', (way) => {
  test('reaches the database it names', async () => {
    const redis = openRedis({ url: `${server[way]}?db=3`, role: 'queue', failFast: true })
    await firstReady(redis, 5000)
    await redis.set('key', way)
    expect(await server.client({ db: 3 }).get('key')).toBe(way)
    expect(await server.client().get('key')).toBeNull()
    await closeRedis(redis)
  })

  test('says once that Redis went away, and once that it is back', async () => {
    const events: RedisEvent['type'][] = []
    const redis = openRedis({
      url: server[way],
      role: 'queue',
      failFast: true,
      on: ({ type }) => events.push(type),
    })
    await firstReady(redis, 5000)
    await server.kill()
    await server.restart()
    await firstReady(redis, 5000)
    expect(await redis.ping()).toBe('PONG')
    expect(events).toEqual(['redis-away', 'redis-back'])
    await closeRedis(redis)
  })
})
