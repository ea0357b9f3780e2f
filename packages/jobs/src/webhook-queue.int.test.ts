import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { Worker } from 'bullmq'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WebhookConsumer, type WebhookConsumerEvent, type WebhookTryEnd } from './webhook-consumer.js'
import { type WebhookData, WebhookQueue, webhookQueueName, webhookQueuePrefix } from './webhook-queue.js'

type Tried = { type: 'tried'; data: WebhookData; attempt: number; stopping: AbortSignal }

let redis: RedisServer
let queue: WebhookQueue
const closers: (() => Promise<unknown>)[] = []
const data: WebhookData = { job: '01890000-0000-7000-8000-000000000000', run: 0, event: 'job.succeeded' }
const done: WebhookTryEnd = { kind: 'done' }

beforeAll(async () => {
  redis = await queueRedis()
})
beforeEach(async () => {
  await redis.client().flushall()
  queue = await WebhookQueue.connect({ url: redis.url, role: 'gateway' })
  closers.push(() => queue.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(() => redis.stop())

/** Ends tries as `ends` says, in order; then well. */
function consume(ends: (WebhookTryEnd | (() => Promise<WebhookTryEnd>))[] = []) {
  const log = collectEvents<WebhookConsumerEvent | Tried>()
  const consumer = new WebhookConsumer({
    url: redis.url,
    courierId: 'c',
    concurrency: 4,
    lockMs: 1500,
    stalledCheckMs: 500,
    on: log.on,
    handle: async (data, attempt, stopping) => {
      log.on({ type: 'tried', data, attempt, stopping })
      const end = ends.shift() ?? done
      return typeof end === 'function' ? end() : end
    },
  })
  closers.push(() => consumer.close(200))
  consumer.start()
  return { consumer, log, tries: () => log.all('tried').map(({ attempt }) => attempt) }
}

const counts = () => queue.queue.getJobCounts('waiting', 'delayed', 'active', 'completed', 'failed')
const settled = (state: 'completed' | 'failed', count = 1) =>
  eventually(async () => (await counts())[state] === count, { what: `${count} ${state}` })

describe('a webhook', () => {
  it('added twice is told once, also after it was told', async () => {
    await queue.add(data)
    await queue.add(data)
    const { log } = consume()
    expect(await log.next('tried')).toMatchObject({ data, attempt: 1 })
    await settled('completed')
    await queue.add(data)
    await queue.add({ ...data, run: 1 })
    await settled('completed', 2)
    expect(log.all('tried').map(({ data }) => data.run)).toEqual([0, 1])
  })

  it('redelivered is told again, each time', async () => {
    await queue.add(data)
    await queue.redeliver(data)
    await queue.redeliver(data)
    const { log } = consume()
    await settled('completed', 3)
    expect(log.all('tried').map(({ data, attempt }) => ({ data, attempt }))).toEqual(
      Array(3).fill({ data, attempt: 1 }),
    )
  })
})

describe('a try', () => {
  it('that is to be repeated comes back after its delay, counted', async () => {
    await queue.add(data)
    const { tries } = consume([
      { kind: 'retry', delayMs: 10, reason: 'answered 500' },
      { kind: 'retry', delayMs: 0, reason: 'answered 500' },
    ])
    await settled('completed')
    expect(tries()).toEqual([1, 2, 3])
  })

  it('waits as long as it was told to, however long', async () => {
    await queue.add(data)
    consume([{ kind: 'retry', delayMs: 86_400_000, reason: 'Retry-After' }])
    await eventually(async () => (await queue.depth()).delayed === 1)
    const [job] = await queue.queue.getDelayed()
    expect(job?.delay).toBe(86_400_000)
    expect(job?.failedReason).toBe('Retry-After')
  })

  it('put off is not counted', async () => {
    await queue.add(data)
    const { tries } = consume([
      { kind: 'later', delayMs: 10 },
      { kind: 'later', delayMs: 10 },
    ])
    await settled('completed')
    expect(tries()).toEqual([1, 1, 1])
  })

  it('given up is the last one, with its reason on the dashboard', async () => {
    await queue.add(data)
    const { tries } = consume([{ kind: 'give-up', reason: 'answered 410' }])
    await settled('failed')
    expect((await queue.queue.getFailed())[0]?.failedReason).toBe('answered 410')
    expect(tries()).toEqual([1])
  })

  it('that throws is said and comes back', async () => {
    await queue.add(data)
    const { log } = consume([() => Promise.reject(new Error('a fault of ours'))])
    expect((await log.next('consumer-error')).error.message).toBe('a fault of ours')
    await eventually(async () => (await queue.depth()).delayed === 1)
  })
})

describe('a courier that', () => {
  it('stops finishes what it has in hand', async () => {
    let answer: (end: WebhookTryEnd) => void = () => {}
    await queue.add(data)
    const { consumer, log } = consume([
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    ])
    await log.next('tried')
    const closed = consumer.close(10_000)
    answer(done)
    await closed
    expect(await counts()).toMatchObject({ completed: 1, active: 0, waiting: 0 })
  })

  it('runs out of time gives its tries back, and another one has them at once, uncounted', async () => {
    await queue.add(data)
    const first = consume([
      async () => {
        const { stopping } = await first.log.next('tried')
        return new Promise((resolve) => {
          stopping.addEventListener('abort', () => resolve({ kind: 'give-back' }))
        })
      },
    ])
    await first.log.next('tried')
    await first.consumer.close(10)
    expect(await queue.depth()).toEqual({ waiting: 1, delayed: 0 })
    const second = consume()
    expect(await second.log.next('tried')).toMatchObject({ data, attempt: 1 })
  })

  it('died leaves its try to another one, under the same number', async () => {
    await queue.add(data)
    const dead = new Worker(webhookQueueName, null, {
      connection: redis.client({ maxRetriesPerRequest: null }),
      prefix: webhookQueuePrefix,
      lockDuration: 100,
      skipLockRenewal: true,
    })
    closers.push(() => dead.close(true))
    expect(await dead.getNextJob('dead')).toBeTruthy()
    const { log } = consume()
    expect(await log.next('tried', undefined, { timeoutMs: 10_000 })).toMatchObject({ data, attempt: 1 })
  })

  it('closes in bounded time when Redis does not answer', async () => {
    await queue.add(data)
    const { consumer } = consume()
    await settled('completed')
    redis.pause()
    const startedMs = performance.now()
    await consumer.close(100)
    await consumer.close(100)
    redis.resume()
    expect(performance.now() - startedMs).toBeLessThan(6000)
  })
})

describe('while Redis is away', () => {
  it('a gateway is told at once, and a worker waits', async () => {
    const patient = await WebhookQueue.connect({ url: redis.url, role: 'worker' })
    closers.push(() => patient.close())
    await redis.kill('SIGTERM')
    await eventually(() => !queue.healthy)
    await expect(queue.add(data)).rejects.toMatchObject({ code: 'queue_unavailable' })
    const adding = patient.add(data)
    await redis.restart()
    await adding
    const { log } = consume()
    await log.next('tried', undefined, { timeoutMs: 10_000 })
  })
})
