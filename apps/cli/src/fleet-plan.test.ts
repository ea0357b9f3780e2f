import { loadConfig } from '@millrace/config'
import { describe, expect, test } from 'vitest'
import { childVariables, givenRoles, metricsPort, planFleet } from './fleet-plan.js'

const models = new URL('../../../millrace.json', import.meta.url).pathname
const given = { QUEUE_REDIS_URL: 'redis://queue.example:6379' }
const config = (variables: Record<string, string> = {}) =>
  loadConfig({ MILLRACE_CONFIG: models, ...variables })

describe('the plan of a fleet', () => {
  test('starts both Redis processes, with their data under the data folder, when none is given', () => {
    const plan = planFleet(config({ MILLRACE_DATA_DIR: '/data' }), givenRoles({}), 2, false)
    expect(plan.redis).toEqual([
      { owned: true, role: 'queue', url: 'redis://127.0.0.1:6390', port: 6390, dir: '/data/redis-queue' },
      { owned: true, role: 'cache', url: 'redis://127.0.0.1:6391', port: 6391, dir: '/data/redis-cache' },
    ])
  })

  test('reaches its own Redis by Unix sockets in the data folder where it takes any', () => {
    const plan = planFleet(config({ ...given, MILLRACE_DATA_DIR: '/my data' }), givenRoles(given), 2, true)
    expect(plan.redis).toEqual([
      { owned: false, role: 'queue', url: 'redis://queue.example:6379' },
      {
        owned: true,
        role: 'cache',
        url: 'unix:///my%20data/cache.sock',
        port: 6391,
        dir: '/my data/redis-cache',
        socket: '/my data/cache.sock',
      },
    ])
    expect(childVariables({}, plan).CACHE_REDIS_URL).toBe('unix:///my%20data/cache.sock')
  })

  test('uses the Redis that the user names and starts only the other', () => {
    const plan = planFleet(config(given), givenRoles(given), 2, false)
    expect(plan.redis.map(({ owned, role }) => [role, owned])).toEqual([
      ['queue', false],
      ['cache', true],
    ])
  })

  test('tells every child the same Redis servers and port, and passes the rest of the environment on', () => {
    const plan = planFleet(config(given), givenRoles(given), 1, false)
    const variables = childVariables({ ...given, LOG_LEVEL: 'debug', NOT_SET: undefined }, plan)
    expect(variables).toEqual({
      LOG_LEVEL: 'debug',
      PORT: '8080',
      QUEUE_REDIS_URL: 'redis://queue.example:6379',
      CACHE_REDIS_URL: 'redis://127.0.0.1:6391',
    })
  })
})

test('an empty variable names no Redis', () => {
  expect(givenRoles({ QUEUE_REDIS_URL: '', CACHE_REDIS_URL: 'redis://x' })).toEqual(['cache'])
})

test('workers with a fixed metrics port get one each; any port stays any port', () => {
  expect([1, 2, 3].map((worker) => metricsPort(9100, worker))).toEqual([9100, 9101, 9102])
  expect(metricsPort(0, 3)).toBe(0)
})
