/** Chunks of several jobs that are queued at one moment: they travel as one BullMQ job, and each still has its own end. */
import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { ChunkConsumer, type ChunkDelivery, type ConsumerEvent } from './chunk-consumer.js'
import { ChunkQueues } from './chunk-queues.js'
import { JobStore } from './job-store.js'

let redis: RedisServer
const closers: (() => Promise<void>)[] = []
let serial = 0
beforeAll(async () => {
  redis = await queueRedis()
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(() => redis.stop())

type Delivered = { type: 'delivered'; delivery: ChunkDelivery }

async function open() {
  const model = `company-${serial++}`
  const store = await JobStore.connect({ url: redis.url, role: 'gateway' })
  closers.push(() => store.close())
  const queues = ChunkQueues.open({ store, models: [model], attempts: 3 })
  closers.push(() => queues.close())
  await eventually(() => queues.healthy)
  const log = collectEvents<ConsumerEvent | Delivered>()
  const consumer = new ChunkConsumer({
    url: redis.url,
    model,
    workerId: 'w',
    lockMs: 5000,
    stalledCheckMs: 2500,
    hasRoom: () => true,
    now: Date.now,
    on: log.on,
    handle: async (delivery) => log.on({ type: 'delivered', delivery }),
  })
  closers.push(() => consumer.close(200))
  const add = (jobId: string, { workers = 1, chars = 10, priority = 0 } = {}) =>
    queues.add(model, { jobId, run: 0, chunks: [0] }, priority, { company: { workers, chars } })
  const waiting = async () => (await queues.depth(model, Date.now())).waiting
  /** Those of the first `count` that arrive. */
  const arrived = async (count: number) => {
    await eventually(() => log.all('delivered').length >= count)
    return log.all('delivered').map(({ delivery }) => delivery)
  }
  return { model, queues, consumer, log, add, waiting, arrived }
}

test('those of one moment are one BullMQ job, and arrive each by itself', async () => {
  const { add, waiting, consumer, arrived, log } = await open()
  await Promise.all(['a', 'b', 'c'].map((job) => add(job)))
  expect(await waiting()).toBe(1)
  consumer.start()
  const chunks = await arrived(3)
  expect(chunks.map(({ jobId, share }) => `${jobId} ${share.toFixed(2)}`)).toEqual([
    'a 0.33',
    'b 0.33',
    'c 0.33',
  ])
  for (const chunk of chunks) await chunk.complete()
  expect(await waiting()).toBe(0)
  expect(log.all('consumer-error')).toEqual([])
})

test('those of two moments, priorities or models do not travel together', async () => {
  const { add, waiting, queues, model } = await open()
  await Promise.all([add('a'), add('b', { priority: 5 })])
  await add('c')
  expect(await waiting()).toBe(3)
  expect([...queues.queues().keys()]).toEqual([model])
})

test('they are spread over the workers there are, and by what they hold', async () => {
  const spread = await open()
  await Promise.all(['a', 'b', 'c', 'd'].map((job) => spread.add(job, { workers: 2 })))
  expect(await spread.waiting()).toBe(2)
  const large = await open()
  await Promise.all(['a', 'b', 'c'].map((job) => large.add(job, { chars: 900 })))
  expect(await large.waiting()).toBe(3)
})

test('they leave when the last of them has ended, and not before', async () => {
  const { add, queues, model, consumer, arrived } = await open()
  await Promise.all(['a', 'b'].map((job) => add(job)))
  consumer.start()
  const [a, b] = await arrived(2)
  await a?.complete()
  expect(await queues.depth(model, Date.now())).toMatchObject({ active: 1 })
  await b?.complete()
  expect(await queues.depth(model, Date.now())).toMatchObject({ waiting: 0, active: 0 })
})

test('one that fails brings all of them again, as a further try', async () => {
  const { add, consumer, arrived } = await open()
  await Promise.all(['a', 'b'].map((job) => add(job)))
  consumer.start()
  const [a, b] = await arrived(2)
  await a?.fail(new Error('no'))
  await b?.complete()
  const again = (await arrived(4)).slice(2)
  expect(again.map(({ jobId, attempt }) => `${jobId} ${attempt}`)).toEqual(['a 2', 'b 2'])
  for (const chunk of again) await chunk.complete()
})

test('one that is given back brings all of them again at once, also where another failed', async () => {
  const { add, consumer, arrived } = await open()
  await Promise.all(['a', 'b', 'c'].map((job) => add(job)))
  consumer.start()
  const [a, b, c] = await arrived(3)
  await a?.fail(new Error('no'))
  await b?.giveBack()
  await c?.complete()
  const again = (await arrived(6)).slice(3)
  expect(again.map(({ jobId }) => jobId)).toEqual(['a', 'b', 'c'])
  expect(again.every(({ lastAttempt }) => !lastAttempt)).toBe(true)
  for (const chunk of again) await chunk.complete()
})

test('a job that is taken out does not take the others along', async () => {
  const { add, queues, model, waiting, consumer, arrived } = await open()
  await Promise.all(['a', 'b'].map((job) => add(job)))
  await queues.remove(model, { jobId: 'a', run: 0, chunks: [0] })
  await queues.remove(model, { jobId: 'b', run: 0, chunks: [0] })
  expect(await waiting()).toBe(1)
  consumer.start()
  expect((await arrived(2)).map(({ jobId }) => jobId)).toEqual(['a', 'b'])
})

test('where Redis is away, each hears of it', async () => {
  const { add, queues } = await open()
  const adding = ['a', 'b'].map((job) => add(job))
  await queues.close()
  const outcomes = await Promise.allSettled(adding)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'queue_unavailable' })
  }
  const late = await Promise.allSettled(['c'].map((job) => add(job)))
  expect([...outcomes, ...late]).toHaveLength(3)
})
