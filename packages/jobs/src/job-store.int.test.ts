import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JobStore } from './job-store.js'
import {
  eventsOf,
  expired,
  failure,
  inChunks,
  newJob,
  now,
  stored as read,
  result,
  ttlMs,
  vector,
} from './job-under-test.js'
import { secondKey } from './known-jobs.js'
import { isGone, type KnownJob, keysOf, type NewJob, type StoredJob } from './record.js'

let redis: RedisServer
let store: JobStore

const stored = (id: string): Promise<StoredJob> => read(store, id)
/** At most that long, and not much shorter. */
async function expectLife(key: string, lifeMs: number) {
  const leftMs = await redis.client().pttl(key)
  expect(leftMs).toBeLessThanOrEqual(lifeMs)
  expect(leftMs).toBeGreaterThan(lifeMs - 10_000)
}
async function created(change: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob(change)
  await store.create(job)
  return job
}
const take = (jobId: string, chunk: number, attempt: number, nowMs: number) =>
  store.take({ jobId, run: 0, chunk }, attempt, nowMs)

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
})
afterAll(async () => {
  await store.close()
  await redis.stop()
})

describe('a new job', () => {
  it('can be read at once, with what the cache knew', async () => {
    const job = newJob({ slots: [0, 1, 0], slotCount: 2, knownCount: 1, known: new Map([[1, vector(7)]]) })
    expect(await store.create(job)).toBe(true)
    expect(await stored(job.id)).toMatchObject({
      status: 'queued',
      slots: [0, 1, 0],
      chunks: 1,
      chunksDone: 0,
      startedAtMs: null,
      outputs: new Map([[1, vector(7)]]),
    })
  })

  it('that a worker has begun is written as started, with its event, and is stored as any other', async () => {
    const job = newJob()
    expect(await store.create(job, true)).toBe(true)
    const begun = { status: 'processing', startedAtMs: now, attempts: 1 }
    expect(await stored(job.id)).toMatchObject(begun)
    expect(await eventsOf(store, job.id)).toMatchObject([{ type: 'started' }])
    expect(await take(job.id, 0, 1, now + 5)).toMatchObject({
      state: 'taken',
      first: false,
      startedAtMs: now,
    })
    expect(await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now + 10)).toMatchObject({
      state: 'settled-now',
    })
    expect(await take(job.id, 0, 1, now + 20)).toMatchObject({ state: 'settled', status: 'succeeded' })
  })

  it('created together with others is there before what leaves at the end of the turn; each has its own answer', async () => {
    const [first, second] = [newJob(inChunks(3)), newJob({ known: new Map([[0, vector(1)]]), knownCount: 1 })]
    const old = await created()
    const creating = [first, second, { ...old, model: 'other' }].map((job) => store.createTogether(job))
    const keys = [first, second].map(({ id }) => keysOf(id).record)
    const there = new Promise((resolve) => process.nextTick(() => resolve(store.connection.exists(...keys))))
    expect(await there).toBe(2)
    expect(await Promise.all(creating)).toEqual([true, true, false])
    expect(await stored(first.id)).toMatchObject({ chunks: 3, outputs: new Map() })
    expect(await stored(second.id)).toMatchObject({ chunks: 1, outputs: new Map([[0, vector(1)]]) })
    expect((await stored(old.id)).model).toBe('m')
    const taken = await Promise.all([0, 1, 2].map((chunk) => take(first.id, chunk, 1, now)))
    expect(taken).toMatchObject(first.chunks.map((items) => ({ state: 'taken', items })))
  })

  it('created twice is the first one', async () => {
    const job = newJob()
    await store.create(job)
    expect(await store.create({ ...job, model: 'other' })).toBe(false)
    expect((await stored(job.id)).model).toBe('m')
  })

  it('leaves nothing behind for ever: inputs and outputs have an end, and the record one twice as late', async () => {
    const job = newJob({ known: new Map([[1, vector(1)]]) })
    await store.create(job)
    const { record, inputs, outputs } = keysOf(job.id)
    for (const key of [inputs, outputs]) await expectLife(key, 61_000)
    await expectLife(record, 122_000)
  })

  it('may wait for the longer of its two limits, and is then still there to be read', async () => {
    const job = newJob({ lifeLimitMs: 5000 })
    await store.create(job)
    await expectLife(keysOf(job.id).inputs, 65_000)
    expect(await stored(job.id)).toMatchObject({
      startByMs: now + 1000,
      settleByMs: now + 5000,
      expiresAtMs: now + 65_000,
    })
  })

  it('without chunks is settled as it is written', async () => {
    const known = new Map([[0, vector(1)]])
    const job = newJob({ knownCount: 1, known, chunks: [] })
    expect(await store.create(job)).toBe(true)
    expect(await stored(job.id)).toMatchObject({
      status: 'succeeded',
      startedAtMs: now,
      completedAtMs: now,
      expiresAtMs: now + ttlMs,
      chunks: 0,
      chunksDone: 0,
      outputs: known,
    })
    expect(await eventsOf(store, job.id)).toMatchObject([{ type: 'started' }, { type: 'succeeded' }])
    expect(await store.settle(job, 'canceled', expired, now)).toEqual({ state: 'settled' })
    const { record, outputs } = keysOf(job.id)
    await expectLife(outputs, ttlMs)
    await expectLife(record, 2 * ttlMs)
  })

  it('that nobody submitted is not known', async () => {
    expect(await store.read('nobody')).toBeUndefined()
  })
})

describe('taking a chunk', () => {
  it('gives the exact inputs and starts the job once', async () => {
    const job = newJob({
      slotCount: 2,
      chunks: [[{ slot: 0, input: 'a\r\nb\u0000' }], [{ slot: 1, input: 'c' }]],
    })
    await store.create(job)
    const first = await take(job.id, 0, 1, now + 5)
    expect(first).toMatchObject({
      state: 'taken',
      startedAtMs: now + 5,
      first: true,
      items: [{ slot: 0, input: 'a\r\nb\u0000' }],
    })
    const second = await take(job.id, 1, 3, now + 9)
    expect(second).toMatchObject({
      state: 'taken',
      startedAtMs: now + 5,
      first: false,
      items: [{ slot: 1, input: 'c' }],
    })
    expect(await stored(job.id)).toMatchObject({ status: 'processing', startedAtMs: now + 5, attempts: 3 })
  })

  it('passes over a job that is gone, settled, or has this chunk', async () => {
    expect(await take('nobody', 0, 1, now)).toEqual({ state: 'gone' })
    const job = newJob(inChunks(2))
    await store.create(job)
    await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now)
    expect(await take(job.id, 0, 2, now)).toEqual({ state: 'stored' })
    await store.storeChunk(result(job.id, 1, [[1, vector(1)]]), now)
    const { known: _known, chunks: _chunks, ...facts } = job
    expect(await take(job.id, 1, 2, now)).toEqual({ state: 'settled', status: 'succeeded', facts })
  })

  it('refuses a job past its start limit that nobody took, and only such a one', async () => {
    const late = newJob()
    await store.create(late)
    expect(await take(late.id, 0, 1, now + 1001)).toMatchObject({
      state: 'late',
      facts: { id: late.id },
    })
    const started = newJob()
    await store.create(started)
    await take(started.id, 0, 1, now + 1000)
    expect(await take(started.id, 0, 2, now + 5000)).toMatchObject({ state: 'taken', settleByMs: null })
  })

  it('refuses a job past the limit on its whole life, at work or not', async () => {
    const limits = { startLimitMs: 5000, lifeLimitMs: 2000, ...inChunks(2) }
    const waiting = newJob(limits)
    const atWork = newJob(limits)
    for (const job of [waiting, atWork]) await store.create(job)
    expect(await take(atWork.id, 0, 1, now + 2000)).toMatchObject({ state: 'taken', settleByMs: now + 2000 })
    for (const { id } of [waiting, atWork]) {
      expect(await take(id, 1, 1, now + 2001)).toMatchObject({ state: 'late', facts: { id } })
    }
    expect((await stored(waiting.id)).status).toBe('queued')
  })

  it('of a late job says what matters more: that the chunk is in, or the job settled', async () => {
    const job = newJob({ lifeLimitMs: 2000, ...inChunks(2) })
    await store.create(job)
    await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now)
    expect(await take(job.id, 0, 2, now + 2001)).toEqual({ state: 'stored' })
    await store.settle(job, 'expired', expired, now + 2001)
    expect(await take(job.id, 1, 1, now + 2002)).toMatchObject({ state: 'settled', status: 'expired' })
  })
})

describe('storing chunks', () => {
  it('settles the job with its last chunk, and only then', async () => {
    const job = newJob(inChunks(2))
    await store.create(job)
    expect(await store.storeChunk(result(job.id, 1, [[1, vector(2)]]), now + 5)).toEqual({ state: 'more' })
    const last = await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now + 8)
    expect(last).toMatchObject({
      state: 'settled-now',
      facts: { id: job.id },
      progress: {
        status: 'succeeded',
        completedAtMs: now + 8,
        hits: 2,
        joined: 4,
        predictUs: 400,
        batchSize: 4,
      },
    })
    expect(await stored(job.id)).toMatchObject({
      status: 'succeeded',
      expiresAtMs: now + 8 + 60_000,
      outputs: new Map([
        [0, vector(1)],
        [1, vector(2)],
      ]),
    })
  })

  it('counts a chunk once, however often it is stored', async () => {
    const job = newJob(inChunks(2))
    await store.create(job)
    await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now)
    expect(await store.storeChunk(result(job.id, 0, [[0, vector(9)]]), now)).toEqual({ state: 'stored' })
    const job2 = await stored(job.id)
    expect(job2).toMatchObject({ status: 'queued', chunksDone: 1 })
    expect(job2.outputs.get(0)).toEqual(vector(1))
  })

  it('succeeds when one item did, and fails when none did', async () => {
    const two = {
      slotCount: 2,
      chunks: [
        [
          { slot: 0, input: 'a' },
          { slot: 1, input: 'b' },
        ],
      ],
    }
    const half = newJob(two)
    const none = newJob(two)
    await store.create(half)
    await store.create(none)
    await store.storeChunk(
      result(
        half.id,
        0,
        [
          [0, failure],
          [1, vector(1)],
        ],
        1,
      ),
      now,
    )
    await store.storeChunk(
      result(
        none.id,
        0,
        [
          [0, failure],
          [1, failure],
        ],
        2,
      ),
      now,
    )
    expect((await stored(half.id)).status).toBe('succeeded')
    expect((await stored(none.id)).status).toBe('failed')
  })

  it('forgets the inputs of a job that succeeded, and keeps those of one that failed', async () => {
    const good = newJob()
    const bad = newJob()
    for (const job of [good, bad]) await store.create(job)
    await store.storeChunk(result(good.id, 0, [[0, vector(1)]]), now)
    await store.storeChunk(result(bad.id, 0, [[0, failure]], 1), now)
    expect(await redis.client().exists(keysOf(good.id).inputs)).toBe(0)
    expect(await redis.client().exists(keysOf(bad.id).inputs)).toBe(1)
  })

  it('leaves the record twice as long as the job can be read, and its outputs just as long', async () => {
    const { id } = await created(inChunks(2))
    for (const chunk of [0, 1]) await store.storeChunk(result(id, chunk, [[chunk, vector(1)]]), now)
    const { record, outputs, events } = keysOf(id)
    for (const key of [outputs, events]) await expectLife(key, ttlMs)
    await expectLife(record, 2 * ttlMs)
  })

  it('never keeps outputs of an unsettled job longer than its inputs', async () => {
    const { id } = await created(inChunks(2))
    await store.storeChunk(result(id, 0, [[0, vector(1)]]), now)
    const { inputs, outputs, record } = keysOf(id)
    await expectLife(outputs, 61_000)
    await expectLife(inputs, 61_000)
    await expectLife(record, 122_000)
  })

  it('brings nothing back that is gone', async () => {
    expect(await store.storeChunk(result('nobody', 0, [[0, vector(1)]]), now)).toEqual({ state: 'gone' })
    expect(await redis.client().keys('*nobody*')).toEqual([])
  })
})

describe('settling', () => {
  it('is done by the first write; later ones change nothing', async () => {
    const job = newJob()
    await store.create(job)
    const settled = await store.settle(job, 'expired', expired, now + 3)
    expect(settled).toMatchObject({ state: 'settled-now', progress: { status: 'expired', error: expired } })
    expect(await store.settle(job, 'failed', expired, now + 4)).toEqual({ state: 'settled' })
    expect(await store.storeChunk(result(job.id, 0, [[0, vector(1)]]), now + 5)).toEqual({ state: 'settled' })
    expect(await stored(job.id)).toMatchObject({
      status: 'expired',
      completedAtMs: now + 3,
      outputs: new Map(),
    })
  })
})

describe('a job settled from outside', () => {
  it('keeps its inputs where it can be tried again, and forgets them where it cannot', async () => {
    const late = await created()
    const canceled = await created()
    await store.settle(late, 'expired', expired, now)
    await store.settle(canceled, 'canceled', { code: 'job_canceled', detail: 'by its client' }, now)
    await expectLife(keysOf(late.id).inputs, ttlMs)
    expect(await redis.client().exists(keysOf(canceled.id).inputs)).toBe(0)
    for (const { id } of [late, canceled]) await expectLife(keysOf(id).record, 2 * ttlMs)
  })
})

const knownJob = (more: Partial<KnownJob>): KnownJob => ({
  kind: 'known',
  id: '01a20b85-7b6f-75e6-bb0d-8658c138b739',
  model: 'm',
  scope: 's',
  tenant: 't',
  priority: 0,
  metadata: {},
  requestId: 'r',
  single: true,
  encoding: 'float',
  truncate: false,
  slots: [0],
  keys: ['k'],
  inputs: ['hé'],
  createdAtMs: now,
  expiresAtMs: now + 5000,
  ...more,
})

describe('a job answered in full at submit', () => {
  it('is known by its small record until it expires', async () => {
    const job = knownJob({})
    const sameSecond = { ...job, id: job.id.replace(/9$/, 'a'), inputs: ['b'] }
    const nextSecond = { ...job, id: job.id.replace('7b6f', '8000'), inputs: ['c'] }
    await Promise.all([job, sameSecond, nextSecond].map((one) => store.rememberKnown(one)))
    for (const one of [job, sameSecond, nextSecond]) expect(await store.read(one.id)).toEqual(one)
    expect(await redis.client().hlen(secondKey(job.id))).toBe(2)
    expect(await redis.client().pttl(secondKey(job.id))).toBeLessThanOrEqual(6000)
  })

  it('is written although its gateway closes in the next moment', async () => {
    const closing = await JobStore.connect({ url: redis.url, role: 'gateway' })
    const job = knownJob({ id: '01a20b85-9000-75e6-bb0d-8658c138b739' })
    const written = closing.rememberKnown(job)
    await closing.close()
    await written
    expect(await store.read(job.id)).toEqual(job)
  })
})

it('a job that is worked on for longer than it was to live keeps its inputs, and is never gone', async () => {
  const job = newJob({ startLimitMs: 50, ttlMs: 50 })
  await store.create(job)
  await store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now)
  expect(await redis.client().pttl(keysOf(job.id).inputs)).toBeGreaterThan(500_000)
  const read = await store.read(job.id)
  expect(read && isGone(read, now + 1_000_000)).toBe(false)
})

describe('a queue Redis that is full or away', () => {
  it('is said with its own code, and nothing is half-written', async () => {
    const client = redis.client()
    await client.config('SET', 'maxmemory', '1mb')
    const job = newJob()
    await expect(store.create(job)).rejects.toMatchObject({ code: 'queue_memory', status: 503 })
    await client.config('SET', 'maxmemory', '0')
    expect(await store.read(job.id)).toBeUndefined()
  })

  it('fails fast in a gateway, hanging or gone, and heals by itself', async () => {
    redis.pause()
    const startedMs = performance.now()
    await expect(store.ping()).rejects.toMatchObject({ code: 'queue_unavailable', status: 503 })
    expect(performance.now() - startedMs).toBeLessThan(4000)
    redis.resume()
    await redis.kill()
    await expect(store.create(newJob())).rejects.toMatchObject({ code: 'queue_unavailable' })
    await redis.restart()
    const patient = await JobStore.connect({ url: redis.url, role: 'worker' })
    await patient.ping()
    await patient.close()
  })
})
