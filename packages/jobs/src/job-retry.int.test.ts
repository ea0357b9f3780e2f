import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JobStore } from './job-store.js'
import { expired, failure, inChunks, newJob, now, result, stored, ttlMs, vector } from './job-under-test.js'
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

async function created(change: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob(change)
  await store.create(job)
  return job
}

/** Expired with the first of its two chunks stored. */
async function halfDone(change: Partial<NewJob> = {}): Promise<NewJob> {
  const job = await created({ ...inChunks(2), ...change })
  await store.take({ jobId: job.id, run: 0, chunk: 0 }, 2, now + 1)
  await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now + 2)
  await store.settle(job, 'expired', expired, now + 3)
  return job
}

describe('a job tried again', () => {
  it('computes only what is missing, and keeps what is stored', async () => {
    const job = await halfDone()
    const outcome = await store.retry(job, now + 10)
    const progress = { status: 'queued', run: 1, chunks: 2, chunksDone: 1, hits: 1, joined: 2 }
    expect(outcome).toMatchObject({ state: 'queued', chunks: [1], facts: { id: job.id }, progress })
    expect(await stored(store, job.id)).toMatchObject({ ...progress, outputs: new Map([[0, vector(1)]]) })
    const again = await store.take({ jobId: job.id, run: 1, chunk: 1 }, 1, now + 11)
    expect(again).toMatchObject({ state: 'taken', items: [{ slot: 1, input: 'input 1' }], first: true })
    await store.storeChunk(result(job.id, 1, [[1, vector(2)]], 0, 1), now + 12)
    expect(await stored(store, job.id)).toMatchObject({
      status: 'succeeded',
      chunksDone: 2,
      outputs: new Map([
        [0, vector(1)],
        [1, vector(2)],
      ]),
    })
  })

  it('is not ended by what was seen of its earlier run', async () => {
    const job = await halfDone()
    await store.retry(job, now + 10)
    expect(await store.settle({ ...job, run: 0 }, 'expired', expired, now + 11)).toEqual({ state: 'retried' })
    expect(await stored(store, job.id)).toMatchObject({ status: 'queued', run: 1 })
    expect(await store.settle({ ...job, run: 1 }, 'expired', expired, now + 12)).toMatchObject({
      state: 'settled-now',
      progress: { run: 1 },
    })
  })

  it('computes everything again where every item failed', async () => {
    const job = await created(inChunks(2))
    for (const chunk of [0, 1]) await store.storeChunk(result(job.id, chunk, [[chunk, failure]], 1), now)
    expect((await stored(store, job.id)).status).toBe('failed')
    const costs = { hits: 0, joined: 0, tokenizeUs: 0, predictUs: 0, batchSize: 0 }
    const progress = { status: 'queued', run: 1, chunksDone: 0, ...costs }
    expect(await store.retry(job, now + 10)).toMatchObject({ state: 'queued', chunks: [0, 1], progress })
    expect((await stored(store, job.id)).outputs).toEqual(new Map())
    for (const chunk of [0, 1]) {
      expect(await store.take({ jobId: job.id, run: 1, chunk }, 1, now)).toMatchObject({
        state: 'taken',
        items: [{ slot: chunk, input: `input ${chunk}` }],
      })
      await store.storeChunk(result(job.id, chunk, [[chunk, vector(chunk)]], 0, 1), now)
    }
    expect(await stored(store, job.id)).toMatchObject({ status: 'succeeded', chunksDone: 2, hits: 2 })
  })

  it('keeps what the cache knew at its submit', async () => {
    const known = new Map([[1, vector(7)]])
    const job = await created({ ...inChunks(2), knownCount: 1, known, chunks: inChunks(1).chunks })
    await store.settle(job, 'expired', expired, now)
    expect(await store.retry(job, now)).toMatchObject({ state: 'queued', chunks: [0] })
    expect((await stored(store, job.id)).outputs).toEqual(known)
  })

  it('has its limits and its life from then on, and nothing left of the run before', async () => {
    const job = await halfDone({ startLimitMs: 3000, lifeLimitMs: 5000 })
    await store.retry(job, now + 70_000)
    expect(await stored(store, job.id)).toMatchObject({
      startByMs: now + 73_000,
      settleByMs: now + 75_000,
      startedAtMs: null,
      completedAtMs: null,
      error: null,
      attempts: 0,
      createdAtMs: now,
      expiresAtMs: now + 75_000 + ttlMs,
    })
    const { record, inputs, outputs } = keysOf(job.id)
    const lifeOf = (key: string) => redis.client().pttl(key)
    for (const key of [inputs, outputs]) expect(await lifeOf(key)).toBeGreaterThan(64_000)
    expect(await lifeOf(record)).toBeGreaterThan(2 * 64_000)
  })

  it('has no limit on its whole life where it had none', async () => {
    const job = await halfDone()
    await store.retry(job, now + 10)
    expect(await stored(store, job.id)).toMatchObject({ startByMs: now + 1010, settleByMs: null })
  })

  it('is still the same job: facts, metadata and webhook are as they were', async () => {
    const webhook = { url: 'https://example.com/hook', events: ['job.expired' as const] }
    const job = await halfDone({ metadata: { order: '7' }, webhook, priority: 5, requestDigest: 'd' })
    const outcome = await store.retry(job, now + 10)
    const { known: _known, chunks: _chunks, ...facts } = job
    expect(outcome).toMatchObject({ facts })
    expect(await stored(store, job.id)).toMatchObject(facts)
  })

  it('counts its runs', async () => {
    const job = await halfDone()
    for (const run of [1, 2, 3]) {
      expect(await store.retry(job, now)).toMatchObject({ progress: { run }, chunks: [1] })
      expect(await store.settle(job, 'expired', expired, now)).toMatchObject({ progress: { run } })
    }
  })

  it('passes over chunks of an earlier run, whatever became of it since', async () => {
    const job = await halfDone()
    await store.retry(job, now)
    const old = { jobId: job.id, run: 0, chunk: 1 }
    const passedOver = async () => {
      expect(await store.take(old, 3, now)).toEqual({ state: 'retried' })
      expect(await store.storeChunk(result(job.id, 1, [[1, vector(9)]]), now)).toEqual({ state: 'retried' })
    }
    await passedOver()
    expect(await stored(store, job.id)).toMatchObject({ status: 'queued', chunksDone: 1, attempts: 0 })
    await store.storeChunk(result(job.id, 1, [[1, vector(2)]], 0, 1), now)
    await passedOver()
    expect((await stored(store, job.id)).outputs.get(1)).toEqual(vector(2))
  })
})

describe('a retry that is asked for again', () => {
  it('while its run waits is that run: nothing changes, and its chunks are said again', async () => {
    const job = await halfDone()
    const first = await store.retry(job, now)
    const before = await stored(store, job.id)
    expect(await Promise.all([store.retry(job, now + 5), store.retry(job, now + 9)])).toEqual([first, first])
    expect(await stored(store, job.id)).toEqual(before)
    expect(before.run).toBe(1)
  })

  it('once its run is at work is refused', async () => {
    const job = await halfDone()
    await store.retry(job, now)
    await store.take({ jobId: job.id, run: 1, chunk: 1 }, 1, now)
    expect(await store.retry(job, now)).toEqual({ state: 'refused' })
  })
})

describe('a retry is refused', () => {
  it('to a job that waits, is at work, succeeded or was canceled', async () => {
    const [waiting, working, good, canceled] = [
      await created(),
      await created(),
      await created(),
      await created(),
    ]
    await store.take({ jobId: working.id, run: 0, chunk: 0 }, 1, now)
    await store.storeChunk(result(good.id, 0, [[0, vector(1)]]), now)
    await store.settle(canceled, 'canceled', { code: 'job_canceled', detail: 'by its client' }, now)
    const jobs = [waiting, working, good, canceled]
    const read = () => Promise.all(jobs.map(({ id }) => stored(store, id)))
    const before = await read()
    for (const job of jobs) expect(await store.retry(job, now)).toEqual({ state: 'refused' })
    expect(await read()).toEqual(before)
  })

  it('to a job that nobody knows, and to one whose inputs are over', async () => {
    expect(await store.retry(newJob(), now)).toEqual({ state: 'gone' })
    const job = await halfDone()
    await redis.client().del(keysOf(job.id).inputs)
    expect(await store.retry(job, now)).toEqual({ state: 'gone' })
    expect(await stored(store, job.id)).toMatchObject({ status: 'expired', run: 0 })
  })
})
