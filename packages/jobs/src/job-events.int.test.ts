import { setImmediate } from 'node:timers/promises'
import { eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { watchEvents } from './event-watch.js'
import { JobStore } from './job-store.js'
import {
  eventsOf,
  expired,
  failure,
  inChunks,
  newJob,
  now,
  result,
  stored,
  ttlMs,
  vector,
} from './job-under-test.js'
import { freshProgress, keysOf, type NewJob } from './record.js'
import { settledChannel } from './settled-channel.js'
import { decodeSettled } from './settled-message.js'
import { Subscriber } from './subscriber.js'

let redis: RedisServer
let store: JobStore
const closers: (() => unknown)[] = []

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
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

const storeOne = (id: string, chunk: number, run = 0) =>
  store.storeChunk(result(id, chunk, [[chunk, vector(chunk)]], 0, run), now)

/** The run first, then the place in it. */
function idsGrow(ids: readonly string[]): boolean {
  const parts = ids.map((id) => id.split('-').map(Number))
  return parts.every(([run = 0, place = 0], i) => {
    const [runBefore = 0, placeBefore = -1] = parts[i - 1] ?? []
    return run > runBefore || (run === runBefore && place > placeBefore)
  })
}

describe('the events of a job', () => {
  it('say that it started, how far it is, and how it ended; their ids grow', async () => {
    const { id } = await created(inChunks(3))
    expect(await eventsOf(store, id)).toEqual([])
    for (const chunk of [2, 0, 1]) await store.take({ jobId: id, run: 0, chunk }, 1, now)
    for (const chunk of [2, 0, 1]) await storeOne(id, chunk)
    const events = await eventsOf(store, id)
    expect(events.map(({ type, slots }) => ({ type, slots }))).toEqual([
      { type: 'started', slots: 0 },
      { type: 'progress', slots: 1 },
      { type: 'progress', slots: 2 },
      { type: 'succeeded', slots: 0 },
    ])
    expect(idsGrow(events.map((event) => event.id))).toBe(true)
  })

  it('count what the cache knew at submit as done', async () => {
    const { chunks } = inChunks(2)
    const { id } = await created({ ...inChunks(3), chunks, knownCount: 1, known: new Map([[2, vector(2)]]) })
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    await storeOne(id, 0)
    expect(await eventsOf(store, id)).toMatchObject([{ type: 'started' }, { type: 'progress', slots: 2 }])
  })

  it('go on after any of them', async () => {
    const { id } = await created(inChunks(3))
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    for (const chunk of [0, 1, 2]) await storeOne(id, chunk)
    const events = await eventsOf(store, id)
    for (const [i, event] of events.entries()) {
      expect(await eventsOf(store, id, event.id)).toEqual(events.slice(i + 1))
    }
  })

  it.each(['canceled', 'expired', 'failed'] as const)('say that it %s', async (status) => {
    const job = await created()
    await store.settle(job, status, expired, now)
    expect(await eventsOf(store, job.id)).toMatchObject([{ type: status }])
  })

  it('say nothing twice: not of a chunk stored twice, and not after the end', async () => {
    const job = await created(inChunks(2))
    for (const chunk of [0, 0, 1]) await store.take({ jobId: job.id, run: 0, chunk }, 1, now)
    await storeOne(job.id, 0)
    await storeOne(job.id, 0)
    await storeOne(job.id, 1)
    await storeOne(job.id, 1)
    await store.settle(job, 'canceled', expired, now)
    const types = (await eventsOf(store, job.id)).map(({ type }) => type)
    expect(types).toEqual(['started', 'progress', 'succeeded'])
  })

  it('are those of the last run alone, with ids beyond those of the run before', async () => {
    const job = await created()
    await store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now)
    await store.storeChunk(result(job.id, 0, [[0, failure]], 1), now)
    const before = await eventsOf(store, job.id)
    await store.retry(job, now)
    expect(await eventsOf(store, job.id)).toEqual([])
    await store.take({ jobId: job.id, run: 1, chunk: 0 }, 1, now)
    await storeOne(job.id, 0, 1)
    const after = await eventsOf(store, job.id, before.at(-1)?.id ?? '')
    expect(after.map(({ type }) => type)).toEqual(['started', 'succeeded'])
    expect(idsGrow([...before, ...after].map(({ id }) => id))).toBe(true)
  })

  it('are none of a job that was read before it started: what came since is told in its order', async () => {
    const { id } = await created(inChunks(2))
    const early = await stored(store, id)
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    await storeOne(id, 0)
    expect(await store.eventsAfter(early, '0-0')).toEqual([])
    expect((await eventsOf(store, id)).map(({ type }) => type)).toEqual(['started', 'progress'])
  })

  it('end with what was read: neither a later run nor a place beyond the end is told of', async () => {
    const job = await created(inChunks(2))
    await store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now)
    const early = await stored(store, job.id)
    await store.settle(job, 'expired', expired, now)
    await store.retry(job, now)
    await store.take({ jobId: job.id, run: 1, chunk: 0 }, 1, now)
    await storeOne(job.id, 0, 1)
    expect((await store.eventsAfter(early, '0-0')).map(({ id }) => id)).toEqual(['0-1'])
    expect(await eventsOf(store, job.id, '2-0')).toEqual([])
    expect(await eventsOf(store, job.id, '1-999999999')).toEqual([])
  })

  it('need no stream where a job has one chunk', async () => {
    const { id } = await created()
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    await storeOne(id, 0)
    expect(await redis.client().exists(keysOf(id).events)).toBe(0)
    expect((await eventsOf(store, id)).map(({ type }) => type)).toEqual(['started', 'succeeded'])
  })

  it('are the last 128', async () => {
    const { id } = await created(inChunks(150))
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    for (let chunk = 0; chunk < 150; chunk++) await storeOne(id, chunk)
    const events = await eventsOf(store, id)
    expect(events).toHaveLength(128)
    expect(events.slice(0, 2)).toMatchObject([{ type: 'started' }, { type: 'progress', slots: 22 }])
    const rest = await eventsOf(store, id, events.at(-1)?.id)
    expect(rest).toMatchObject([{ type: 'progress', slots: 149 }, { type: 'succeeded' }])
    expect(await redis.client().xlen(keysOf(id).events)).toBe(128)
  })

  it('have an end from the first one on, and go with the outputs of a settled job', async () => {
    const { id } = await created(inChunks(3))
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    const life = () => redis.client().pttl(keysOf(id).events)
    await storeOne(id, 0)
    expect(await life()).toBeGreaterThan(ttlMs)
    await storeOne(id, 1)
    await storeOne(id, 2)
    expect(await life()).toBeLessThanOrEqual(ttlMs)
    expect(await life()).toBeGreaterThan(ttlMs - 10_000)
  })
})

describe('a watch of events', () => {
  const longMs = 60_000

  function subscribed() {
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    return subscriber
  }
  async function watching(subscriber: Subscriber, id: string) {
    const watch = watchEvents(subscriber, id)
    closers.push(() => watch.stop())
    await watch.ready
    return watch
  }
  /** Whether what has happened so far does not end it: a turn of the loop is given to whatever would. */
  async function isPending(promise: Promise<unknown>): Promise<boolean> {
    let over = false
    promise.then(() => {
      over = true
    })
    await setImmediate()
    return !over
  }

  it('wakes for each step of its job: start, progress, end', async () => {
    const job = await created(inChunks(2))
    const watch = await watching(subscribed(), job.id)
    const steps = [
      () => store.take({ jobId: job.id, run: 0, chunk: 0 }, 1, now),
      () => storeOne(job.id, 0),
      () => storeOne(job.id, 1),
    ]
    for (const step of steps) {
      const news = watch.next(longMs)
      expect(await isPending(news)).toBe(true)
      await step()
      await news
    }
    expect(await eventsOf(store, job.id)).toHaveLength(3)
  })

  it('wakes when its job is settled from outside', async () => {
    const job = await created()
    const watch = await watching(subscribed(), job.id)
    const news = watch.next(longMs)
    await store.settle(job, 'canceled', expired, now)
    await news
  })

  it('loses no news between two calls, and tells of it once', async () => {
    const job = await created(inChunks(2))
    const subscriber = subscribed()
    const watch = await watching(subscriber, job.id)
    let heard = 0
    const beside = subscriber.listen(keysOf(job.id).events, () => heard++)
    await beside.ready
    await storeOne(job.id, 0)
    await storeOne(job.id, 1)
    await eventually(() => heard === 2)
    await watch.next(longMs)
    const second = watch.next(longMs)
    expect(await isPending(second)).toBe(true)
    watch.stop()
    await second
  })

  it('ends a call at its limit', async () => {
    const watch = await watching(subscribed(), newJob().id)
    await watch.next(1)
  })

  it('that is stopped while it waits ends its call, and hears nothing more', async () => {
    const job = await created(inChunks(2))
    const watch = await watching(subscribed(), job.id)
    const news = watch.next(longMs)
    watch.stop()
    await news
    const channel = keysOf(job.id).events
    await eventually(async () => (await redis.client().pubsub('NUMSUB', channel))[1] === 0)
  })

  it('shares its connection: two of one job both wake, and the stop of one leaves the other', async () => {
    const job = await created(inChunks(2))
    const other = await created()
    const subscriber = subscribed()
    const [one, two, elsewhere] = [
      await watching(subscriber, job.id),
      await watching(subscriber, job.id),
      await watching(subscriber, other.id),
    ]
    const quiet = elsewhere.next(longMs)
    const both = [one.next(longMs), two.next(longMs)]
    await storeOne(job.id, 0)
    await Promise.all(both)
    one.stop()
    const news = two.next(longMs)
    await storeOne(job.id, 1)
    await news
    expect(await isPending(quiet)).toBe(true)
  })

  it('wakes at the return of a Redis that was away, and brings news again', async () => {
    const job = await created(inChunks(2))
    const watch = await watching(subscribed(), job.id)
    const back = watch.next(longMs)
    await redis.kill('SIGTERM')
    await redis.restart()
    await back
    await eventually(() => store.healthy)
    await eventually(async () => (await redis.client().pubsub('NUMSUB', keysOf(job.id).events))[1] === 1)
    const news = watch.next(longMs)
    await storeOne(job.id, 0)
    await news
    expect(await stored(store, job.id)).toMatchObject({ chunksDone: 1 })
  })
})

describe('what a worker has told as it stores', () => {
  async function hearing() {
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    const heard: Buffer[] = []
    const { ready } = subscriber.listen(settledChannel, (message) => heard.push(Buffer.from(message)))
    await ready
    /** Everything that was published before this call is heard when it resolves: a list of jobs for each message. */
    const all = async () => {
      await store.publish(settledChannel, Buffer.from('end'))
      await eventually(() => heard.at(-1)?.toString() === 'end')
      return heard.slice(0, -1).map((message) => decodeSettled(message, () => true))
    }
    return { all }
  }
  const { known: _known, chunks: _chunks, ...facts } = newJob()
  const progress = { ...freshProgress(1, { startByMs: now, settleByMs: null }), status: 'succeeded' as const }
  const foreseen = (error: string) => ({
    facts,
    progress: { ...progress, error: { code: 'internal' as const, detail: error } },
  })

  it('is told exactly when that call settles the job as succeeded, byte for byte', async () => {
    const { all } = await hearing()
    const { id } = await created(inChunks(2))
    const bytes = Buffer.from('\0\r\n\xff\x80', 'latin1')
    const last = result(id, 1, [
      [1, bytes],
      [2, vector(2)],
    ])
    const told = foreseen('é')
    await store.storeChunk(result(id, 0, [[0, vector(0)]]), now, foreseen('first'))
    // Who foresaw it knows the record already.
    expect(await store.storeChunk(last, now, told)).toEqual({ state: 'settled-now', ...told })
    await store.storeChunk(last, now, foreseen('again'))
    const outputs = new Map([
      [1, bytes],
      [2, vector(2)],
    ])
    expect(await all()).toEqual([[{ jobId: id, progress: told.progress, outputs }]])
  })

  it('is told of all jobs of one turn in one message, without those that it is not told of', async () => {
    const { all } = await hearing()
    const ids = [await created(), await created(), await created()].map(({ id }) => id)
    // The second one's is too large to travel.
    const bytesOf = (i: number) => (i === 1 ? Buffer.alloc(8193, vector(i)) : vector(i))
    const outcomes = await Promise.all([
      ...ids.map((id, i) => store.storeChunk(result(id, 0, [[0, bytesOf(i)]]), now, { facts, progress })),
      store.storeChunk(result('nobody', 0, [[0, vector(9)]]), now, { facts, progress }),
    ])
    expect(outcomes.map(({ state }) => state)).toEqual(['settled-now', 'settled-now', 'settled-now', 'gone'])
    const jobs = ids.map((jobId, i) => ({
      jobId,
      progress,
      outputs: i === 1 ? null : new Map([[0, vector(i)]]),
    }))
    expect(await all()).toEqual([jobs])
  })

  it('is not told of a job that failed, was settled before, was tried again, or is gone', async () => {
    const { all } = await hearing()
    const bad = await created()
    await store.storeChunk(result(bad.id, 0, [[0, failure]], 1), now, foreseen('failed'))
    await store.retry(bad, now)
    await store.storeChunk(result(bad.id, 0, [[0, vector(0)]]), now, foreseen('of an earlier run'))
    const late = await created()
    await store.settle(late, 'expired', expired, now)
    await store.storeChunk(result(late.id, 0, [[0, vector(0)]]), now, foreseen('settled'))
    await store.storeChunk(result(newJob().id, 0, [[0, vector(0)]]), now, foreseen('gone'))
    expect(await all()).toEqual([])
  })
})

describe('more of an output', () => {
  const started = async (change: Partial<NewJob> = {}) => {
    const { id, slots } = await created(change)
    await store.take({ jobId: id, run: 0, chunk: 0 }, 1, now)
    return { id, slots, run: 0 }
  }
  const outputsOf = async (id: string) =>
    (await eventsOf(store, id)).flatMap(({ output }) => (output ? [output] : []))

  it('is an event of the job, by the first of the inputs it belongs to', async () => {
    const job = await started({ slots: [0, 1, 1, 0], slotCount: 2 })
    expect(await store.appendOutput(job, { slot: 1, start: 0, text: 'ünï' })).toBe(true)
    expect(await store.appendOutput(job, { slot: 0, start: 0, text: 'a' })).toBe(true)
    expect(await store.appendOutput(job, { slot: 1, start: 5, text: ' 日' })).toBe(true)
    expect(await outputsOf(job.id)).toEqual([
      { index: 1, start: 0, text: 'ünï' },
      { index: 0, start: 0, text: 'a' },
      { index: 1, start: 5, text: ' 日' },
    ])
  })

  it('is told to who follows the job', async () => {
    const job = await started()
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    const watch = watchEvents(subscriber, job.id)
    closers.push(() => watch.stop())
    await watch.ready
    const news = watch.next(60_000)
    await store.appendOutput(job, { slot: 0, start: 0, text: 'a' })
    await news
    expect(await outputsOf(job.id)).toHaveLength(1)
  })

  it('that another try wrote already is not written again, whole or in part', async () => {
    const job = await started()
    await store.appendOutput(job, { slot: 0, start: 0, text: 'über ' })
    expect(await store.appendOutput(job, { slot: 0, start: 0, text: 'üb' })).toBe(false)
    expect(await store.appendOutput(job, { slot: 0, start: 3, text: 'er dem' })).toBe(true)
    expect((await outputsOf(job.id)).map(({ text }) => text).join('')).toBe('über dem')
  })

  it('is nothing once the job has ended, or has had a later run', async () => {
    const job = await started()
    expect(await store.appendOutput({ ...job, run: 1 }, { slot: 0, start: 0, text: 'a' })).toBe(false)
    await storeOne(job.id, 0)
    expect(await store.appendOutput(job, { slot: 0, start: 0, text: 'a' })).toBe(false)
    expect(await outputsOf(job.id)).toEqual([])
  })

  it('is kept for a while only, and lives as long as its job', async () => {
    const job = await started()
    for (let start = 0; start < 1100; start++) await store.appendOutput(job, { slot: 0, start, text: 'a' })
    const { events, record } = keysOf(job.id)
    expect(await store.connection.xlen(events)).toBe(1024)
    const [life, ofRecord] = await Promise.all([store.connection.pttl(events), store.connection.pttl(record)])
    expect(Math.abs(life - ofRecord)).toBeLessThan(60_000)
    // What it ends with has all of it.
    await storeOne(job.id, 0)
    expect(await store.connection.xlen(events)).toBe(128)
  })
})
