/** The files of a job: beside the record, as long-lived as its inputs, never inside a chunk. */
import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JobStore } from './job-store.js'
import { expired, failure, newJob, now, result, startLimitMs, ttlMs, vector } from './job-under-test.js'
import { keysOf, type NewJob } from './record.js'

let redis: RedisServer
let store: JobStore
beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
})
afterAll(async () => {
  await store.close()
  await redis.stop()
})

const bytes = Buffer.from([0, 255, 13, 10, 0, 128])
async function created(change: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob({ blobs: new Map([['digest', bytes]]), ...change })
  expect(await store.create(job)).toBe(true)
  return job
}
const blobOf = ({ id }: NewJob) => store.readBlob(id, 'digest')
const isThere = async ({ id }: NewJob) => (await redis.client().exists(keysOf(id).blobs)) === 1

it('bytes come back as they were given, for as long as the inputs live', async () => {
  const job = await created()
  expect(await blobOf(job)).toEqual(bytes)
  expect(await store.readBlob(job.id, 'other')).toBeUndefined()
  const { inputs, blobs } = keysOf(job.id)
  const lives = await Promise.all([inputs, blobs].map((key) => redis.client().pttl(key)))
  for (const life of lives) {
    expect(life).toBeGreaterThan(startLimitMs + ttlMs - 5000)
    expect(life).toBeLessThanOrEqual(startLimitMs + ttlMs)
  }
})

it('neither the facts of the record nor what a worker takes holds them', async () => {
  const job = await created()
  const facts = await redis.client().hget(keysOf(job.id).record, 'facts')
  expect(JSON.parse(facts ?? '')).not.toHaveProperty('blobs')
  const taken = await store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now)
  expect(JSON.stringify(taken)).not.toContain('blobs')
})

it('work that takes longer than its job was to live keeps them', async () => {
  const job = await created()
  await store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now)
  expect(await redis.client().pttl(keysOf(job.id).blobs)).toBeGreaterThan(500_000)
})

it('they go with success and with a cancel', async () => {
  const [done, canceled] = [await created(), await created()]
  await store.storeChunk(result(done.id, 0, [[0, vector(1)]]), now)
  await store.settle(canceled, 'canceled', { code: 'job_canceled', detail: '' }, now)
  expect([await isThere(done), await isThere(canceled)]).toEqual([false, false])
  expect(await blobOf(done)).toBeUndefined()
})

it('a job that failed or expired keeps them for a retry', async () => {
  const [failed, late] = [await created(), await created()]
  await store.storeChunk(result(failed.id, 0, [[0, failure]], 1), now)
  await store.settle(late, 'expired', expired, now)
  for (const job of [failed, late]) {
    expect(await redis.client().pttl(keysOf(job.id).blobs)).toBeLessThanOrEqual(ttlMs)
    expect(await store.retry(job, now)).toMatchObject({ state: 'queued' })
    expect(await blobOf(job)).toEqual(bytes)
  }
})

it('a repeat of a request adds nothing to the first one’s files', async () => {
  const job = await created()
  expect(await store.create({ ...job, blobs: new Map([['another', bytes]]) })).toBe(false)
  expect(await store.readBlob(job.id, 'another')).toBeUndefined()
})
