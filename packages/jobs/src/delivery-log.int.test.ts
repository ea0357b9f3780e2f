import type { Delivery } from '@millrace/contracts'
import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DeliveryLog } from './delivery-log.js'

let redis: RedisServer
let log: DeliveryLog

const delivery = (attempt: number): Delivery => ({
  webhook_id: 'msg_1',
  event: 'job.succeeded',
  attempt,
  at: new Date(1_800_000_000_000 + attempt).toISOString(),
  outcome: 'will_retry',
  status_code: null,
  error: 'é',
  next_at: null,
})

beforeAll(async () => {
  redis = await queueRedis()
  log = await DeliveryLog.connect({ url: redis.url, role: 'gateway' })
})
afterAll(async () => {
  await log.close()
  await redis.stop()
})

it('gives tries back oldest first, each job its own', async () => {
  await log.append('a', delivery(1), 60_000)
  await log.append('a', delivery(2), 60_000)
  await log.append('b', delivery(3), 60_000)
  expect(await log.read('a')).toEqual([delivery(1), delivery(2)])
  expect(await log.read('b')).toEqual([delivery(3)])
  expect(await log.read('nobody')).toEqual([])
})

it('keeps the last 20', async () => {
  for (let attempt = 1; attempt <= 25; attempt++) await log.append('many', delivery(attempt), 60_000)
  const kept = await log.read('many')
  expect(kept.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 20 }, (_, at) => at + 6))
})

it('ends when the job does, however short that is', async () => {
  await log.append('short', delivery(1), 60_000)
  await log.append('short', delivery(2), 5000.5)
  const leftMs = await redis.client().pttl('mr:{short}:hooks')
  expect(leftMs).toBeGreaterThan(4000)
  expect(leftMs).toBeLessThanOrEqual(5001)
  await log.append('over', delivery(1), -1)
  expect(await redis.client().pttl('mr:{over}:hooks')).toBeLessThanOrEqual(1)
})

it('says that Redis is away in a gateway, at once', async () => {
  await redis.kill()
  await expect(log.read('a')).rejects.toMatchObject({ code: 'queue_unavailable' })
  await redis.restart()
})
