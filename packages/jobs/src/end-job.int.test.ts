import type { WebhookEvent } from '@millrace/contracts'
import { eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { onCanceled } from './cancel-channel.js'
import { ChunkConsumer, type ChunkDelivery } from './chunk-consumer.js'
import { ChunkQueues } from './chunk-queues.js'
import { type EndJobContext, endJob } from './end-job.js'
import { JobStore } from './job-store.js'
import { expired, inChunks, newJob, now, result, stored, vector } from './job-under-test.js'
import { JobWatch } from './job-watch.js'
import type { NewJob } from './record.js'
import { SettledChannel } from './settled-channel.js'
import { Subscriber } from './subscriber.js'
import { WebhookQueue, webhookJobId } from './webhook-queue.js'

let redis: RedisServer
let store: JobStore
let queues: ChunkQueues
let webhooks: WebhookQueue
let context: EndJobContext & { watch: JobWatch }
const closers: (() => unknown)[] = []
const canceled = { code: 'job_canceled', detail: 'by its client' } as const
const model = 'm'

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
  queues = ChunkQueues.open({ store, models: [model], attempts: 2 })
  webhooks = await WebhookQueue.connect({ url: redis.url, role: 'gateway' })
  context = { store, queues, watch: new JobWatch(store), webhooks, now: () => now + 500 }
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await redis.client().flushall()
})
afterAll(async () => {
  await queues.close()
  await Promise.all([webhooks.close(), store.close()])
  await redis.stop()
})

/** A job in record and queue, as it reads then. */
async function queued(change: Partial<NewJob> = {}) {
  const job = newJob({ ...inChunks(2), ...change })
  await store.create(job)
  const chunks = job.chunks.map((_, chunk) => chunk)
  await queues.add(model, { jobId: job.id, run: 0, chunks }, job.priority)
  return stored(store, job.id)
}
const hook = (...events: WebhookEvent[]) => ({ webhook: { url: 'https://example.com/hook', events } })
const waiting = async () => (await queues.depth(model, now)).waiting
const told = async () => (await webhooks.queue.getWaiting()).map(({ id, data }) => ({ id, data }))

describe.each([
  ['canceled', canceled],
  ['expired', expired],
] as const)('a job that is %s from outside', (status, error) => {
  it('is settled once: a second call finds nothing to do and changes nothing', async () => {
    const job = await queued()
    const progress = await endJob(job, status, error, context)
    expect(progress).toMatchObject({ status, error, completedAtMs: now + 500, run: 0 })
    const settled = await stored(store, job.id)
    expect(settled).toMatchObject({ status, error })
    expect(await endJob(job, status, error, { ...context, now: () => now + 900 })).toBeUndefined()
    expect(await stored(store, job.id)).toEqual(settled)
  })

  it('ends the waits for it, without outputs', async () => {
    const job = await queued()
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    const channel = new SettledChannel(subscriber)
    await subscriber.listen('mr:settled', () => {}).ready
    const heard = channel.waitFor(job.id, 60_000)
    const progress = await endJob(job, status, error, context)
    expect(await heard).toEqual({ jobId: job.id, progress, outputs: null })
  })

  it('leaves no chunk of it waiting, whatever its priority, and those of others where they are', async () => {
    const jobs = [await queued(), await queued({ priority: 5 })]
    await queued()
    expect(await waiting()).toBe(6)
    for (const job of jobs) await endJob(job, status, error, context)
    expect(await waiting()).toBe(2)
  })

  it('has its webhook queued once, where it is to be told of this event', async () => {
    const event = `job.${status}` as const
    const job = await queued(hook(event, 'job.succeeded'))
    await endJob(job, status, error, context)
    await endJob(job, status, error, context)
    const data = { job: job.id, run: 0, event }
    expect(await told()).toEqual([{ id: webhookJobId(data), data }])
    // So that a crash before this was not the end of it, somebody looks again a little later.
    expect(await context.watch.takeDue(now + 500 + 4999, 1, 10)).toEqual([])
    expect(await context.watch.takeDue(now + 500 + 5000, 1, 10)).toEqual([job.id])
  })

  it('tells nobody where its webhook is not for this event, or it has none', async () => {
    for (const job of [await queued(hook('job.succeeded', 'job.failed')), await queued()]) {
      await endJob(job, status, error, context)
    }
    expect(await told()).toEqual([])
    expect(await context.watch.takeDue(now + 1_000_000, 1, 10)).toEqual([])
  })

  it('is ended as the run it is in', async () => {
    const job = await queued(hook(`job.${status}`))
    await store.settle(job, 'expired', expired, now)
    await store.retry(job, now)
    await queues.add(model, { jobId: job.id, run: 1, chunks: [0, 1] }, 0)
    expect(await endJob(await stored(store, job.id), status, error, context)).toMatchObject({ run: 1 })
    expect((await told()).map(({ data }) => data.run)).toEqual([1])
    // Those of the first run stay: their worker passes them over.
    const left = await queues.queues().get(model)?.getWaiting()
    expect(left?.map(({ data }) => data.run)).toEqual([0, 0])
  })

  it('that succeeded first stays so, and is told of by nobody here', async () => {
    const job = await queued(hook(`job.${status}`))
    for (const slot of [0, 1]) await store.storeChunk(result(job.id, slot, [[slot, vector(1)]]), now)
    expect(await endJob(job, status, error, context)).toBeUndefined()
    expect(await stored(store, job.id)).toMatchObject({ status: 'succeeded', error: null })
    expect(await told()).toEqual([])
    expect(await waiting()).toBe(2)
  })
})

describe('the end of a job', () => {
  it('is told to all workers where it is a cancel, and only then', async () => {
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    const heard: string[] = []
    onCanceled(subscriber, (jobId) => heard.push(jobId))
    await subscriber.listen('mr:canceled', () => {}).ready
    const [late, job] = [await queued(), await queued()]
    await endJob(late, 'expired', expired, context)
    await endJob(job, 'canceled', canceled, context)
    await eventually(() => heard.length > 0)
    expect(heard).toEqual([job.id])
  })

  it('leaves a chunk in hand to its worker, who passes it over', async () => {
    const job = await queued()
    let arrived = (_delivery: ChunkDelivery) => {}
    const inHand = new Promise<ChunkDelivery>((resolve) => {
      arrived = resolve
    })
    let room = true
    const consumer = new ChunkConsumer({
      url: redis.url,
      model,
      workerId: 'w',
      lockMs: 10_000,
      stalledCheckMs: 5000,
      hasRoom: () => room,
      now: Date.now,
      handle: async (delivery) => {
        room = false
        arrived(delivery)
      },
    })
    closers.push(() => consumer.close(100))
    consumer.start()
    const delivery = await inHand
    await endJob(job, 'canceled', canceled, context)
    expect(await queues.depth(model, now)).toMatchObject({ waiting: 0, active: 1 })
    expect(await store.take(delivery, 1, now)).toMatchObject({ state: 'settled', status: 'canceled' })
    expect(await store.storeChunk(result(job.id, delivery.chunk, [[0, vector(1)]]), now)).toEqual({
      state: 'settled',
    })
    await delivery.complete()
    expect(await queues.depth(model, now)).toMatchObject({ waiting: 0, active: 0 })
  })

  it('of many who end it at once is one, whatever they say', async () => {
    const job = await queued(hook('job.canceled', 'job.expired'))
    const ends = await Promise.all([
      endJob(job, 'canceled', canceled, context),
      endJob(job, 'expired', expired, context),
      endJob(job, 'canceled', canceled, context),
    ])
    const settled = ends.flatMap((end) => end?.status ?? [])
    expect(settled).toEqual([(await stored(store, job.id)).status])
    expect((await told()).map(({ data }) => data.event)).toEqual(settled.map((status) => `job.${status}`))
  })

  it('is watched before it is written, so that a crash in between is found', async () => {
    const job = await queued(hook('job.expired'))
    const failing: EndJobContext = {
      ...context,
      store: {
        settle: () => Promise.reject(new Error('crash')),
        publish: () => Promise.reject(new Error('never reached')),
      },
    }
    await expect(endJob(job, 'expired', expired, failing)).rejects.toThrow('crash')
    expect(await context.watch.takeDue(now + 5500, 1, 10)).toEqual([job.id])
  })

  it('stands, and its webhook goes out, also where nobody can be told by message', async () => {
    const job = await queued(hook('job.expired'))
    const mute: EndJobContext = {
      ...context,
      store: {
        settle: (...args) => store.settle(...args),
        publish: () => Promise.reject(new Error('away')),
      },
    }
    expect(await endJob(job, 'expired', expired, mute)).toMatchObject({ status: 'expired' })
    expect(await told()).toHaveLength(1)
    expect(await waiting()).toBe(0)
  })
})
