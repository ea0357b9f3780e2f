import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  ChunkConsumer,
  type ChunkConsumerOptions,
  type ChunkDelivery,
  type ConsumerEvent,
} from './chunk-consumer.js'
import { ChunkQueues } from './chunk-queues.js'
import { FleetRegistry } from './fleet-registry.js'
import { JobStore } from './job-store.js'
import { freshProgress } from './record.js'
import { SettledChannel, settledChannel } from './settled-channel.js'
import { encodeSettled } from './settled-message.js'

let redis: RedisServer
let queues: ChunkQueues
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

async function open(change: Partial<ChunkConsumerOptions> = {}) {
  const model = `model-${serial++}`
  queues = await ChunkQueues.connect({ url: redis.url, models: [model], attempts: 2 })
  closers.push(() => queues.close())
  await eventually(() => queues.healthy)
  const consumer = (id: string, more: Partial<ChunkConsumerOptions> = {}) => {
    const log = collectEvents<ConsumerEvent | Delivered>()
    const one = new ChunkConsumer({
      url: redis.url,
      model,
      workerId: id,
      lockMs: 1500,
      stalledCheckMs: 700,
      hasRoom: () => true,
      now: Date.now,
      on: log.on,
      handle: async (delivery) => log.on({ type: 'delivered', delivery }),
      ...change,
      ...more,
    })
    closers.push(() => one.close(200))
    return {
      one,
      log,
      chunk: (jobId: string) =>
        log.next('delivered', (d) => d.delivery.jobId === jobId, { timeoutMs: 15_000 }),
    }
  }
  return { model, consumer }
}

const depth = (model: string) => queues.depth(model, Date.now())

describe('chunks', () => {
  it('arrive once each, and a job added twice is still one job', async () => {
    const { model, consumer } = await open()
    await queues.add(model, 'j', 3)
    await queues.add(model, 'j', 3)
    expect(await depth(model)).toMatchObject({ waiting: 3, active: 0, oldestWaitMs: expect.any(Number) })
    const { one, log } = consumer('w')
    one.start()
    await eventually(() => log.all('delivered').length === 3)
    const chunks = log.all('delivered').map(({ delivery }) => delivery)
    expect(chunks.map(({ chunk }) => chunk)).toEqual([0, 1, 2])
    for (const delivery of chunks) await delivery.complete()
    expect(await depth(model)).toEqual({ waiting: 0, active: 0, oldestWaitMs: null })
  })

  it('are not fetched while there is no room', async () => {
    let room = false
    const { model, consumer } = await open({ hasRoom: () => room })
    const { one, log, chunk } = consumer('w')
    one.start()
    await queues.add(model, 'j', 1)
    expect(await depth(model)).toMatchObject({ waiting: 1 })
    expect(log.all('delivered')).toEqual([])
    room = true
    one.roomChanged()
    await (await chunk('j')).delivery.complete()
  })

  it('given back are there at once for another worker, and that is no failed try', async () => {
    const { model, consumer } = await open()
    const first = consumer('w1')
    first.one.start()
    await queues.add(model, 'j', 1)
    const { delivery } = await first.chunk('j')
    first.one.stopFetching()
    await delivery.giveBack()
    const second = consumer('w2')
    second.one.start()
    const again = await second.chunk('j')
    expect(again.delivery.lastAttempt).toBe(false)
    await again.delivery.complete()
  })

  it('that fail come back until their tries are used up', async () => {
    const { model, consumer } = await open()
    const { one, log, chunk } = consumer('w')
    one.start()
    await queues.add(model, 'j', 1)
    const { delivery } = await chunk('j')
    expect(delivery).toMatchObject({ attempt: 1, lastAttempt: false })
    await delivery.fail(new Error('first'))
    const again = await log.next('delivered', (d) => d.delivery.attempt === 2, { timeoutMs: 10_000 })
    expect(again.delivery.lastAttempt).toBe(true)
    await again.delivery.fail(new Error('second'))
    expect(await depth(model)).toMatchObject({ waiting: 0, active: 0 })
  })

  it('of a worker that died come to another one', async () => {
    const { model, consumer } = await open()
    const dead = consumer('dead')
    dead.one.start()
    await queues.add(model, 'j', 1)
    await dead.chunk('j')
    await dead.one.close(0)
    const alive = consumer('alive')
    alive.one.start()
    await (await alive.chunk('j')).delivery.complete()
  })

  it('keep their lock for as long as they are in hand', async () => {
    const { model, consumer } = await open()
    const holder = consumer('holder')
    const thief = consumer('thief')
    holder.one.start()
    await queues.add(model, 'j', 1)
    const { delivery } = await holder.chunk('j')
    thief.one.start()
    const lock = () => redis.client().pttl(`{mr:${model}}:chunks:j-0:lock`)
    const atFirst = await lock()
    // Longer than the lock: it has been renewed when it is above what was left before.
    await eventually(async () => (await lock()) > atFirst, { timeoutMs: 5000 })
    expect(thief.log.all('delivered')).toEqual([])
    await delivery.complete()
  })

  it('flow again after a restart of Redis, without a new consumer', async () => {
    const { model, consumer } = await open()
    const { one, chunk } = consumer('w')
    one.start()
    await queues.add(model, 'before', 1)
    await (await chunk('before')).delivery.complete()
    await redis.kill('SIGTERM')
    await expect(queues.add(model, 'refused', 1)).rejects.toMatchObject({ code: 'queue_unavailable' })
    await redis.restart()
    await eventually(() => queues.healthy)
    await queues.add(model, 'after', 1)
    await (await chunk('after')).delivery.complete()
  })
})

describe('the settled channel', () => {
  const progress = { ...freshProgress(1), status: 'succeeded' as const }
  async function openChannel() {
    const events = collectEvents<{ type: string }>()
    const channel = SettledChannel.connect({ url: redis.url, on: events.on })
    const store = await JobStore.connect({ url: redis.url, role: 'worker' })
    closers.push(
      () => channel.close(),
      () => store.close(),
    )
    await eventually(async () => Number((await redis.client().pubsub('NUMSUB', settledChannel))[1]) > 0)
    const tell = (jobId: string) =>
      store.publish(settledChannel, encodeSettled([{ jobId, progress, outputs: null }]))
    return { channel, tell, events }
  }

  it('answers everyone who waits for that job, and nobody else', async () => {
    const { channel, tell } = await openChannel()
    const both = [channel.waitFor('a', 5000), channel.waitFor('a', 5000)]
    const other = channel.waitFor('b', 5000)
    await tell('a')
    expect(await Promise.all(both)).toEqual(Array(2).fill({ jobId: 'a', progress, outputs: null }))
    expect(channel.waiting).toBe(1)
    await tell('b')
    await other
    expect(channel.waiting).toBe(0)
  })

  it('ends a wait at its limit and at its signal, and keeps no listener', async () => {
    const { channel } = await openChannel()
    const controller = new AbortController()
    const aborted = channel.waitFor('a', 60_000, controller.signal)
    controller.abort()
    expect(await aborted).toBeUndefined()
    expect(await channel.waitFor('a', 1)).toBeUndefined()
    expect(await channel.waitFor('a', 60_000, AbortSignal.abort())).toBeUndefined()
    expect(channel.waiting).toBe(0)
  })

  it('releases all waits after an outage, so that everyone reads the record', async () => {
    const { channel } = await openChannel()
    const waiting = channel.waitFor('a', 60_000)
    await redis.kill('SIGTERM')
    await redis.restart()
    expect(await waiting).toBeUndefined()
  })
})

describe('the fleet registry', () => {
  it('lists live workers, keeps what their models are, and drops who withdrew or fell silent', async () => {
    const registry = await FleetRegistry.connect({ url: redis.url })
    closers.push(() => registry.close())
    await eventually(() => registry.read().then(() => true))
    const facts = {
      version: 'v',
      task: 'feature-extraction' as const,
      dtype: 'q8',
      dimensions: 3,
      max_tokens: 8,
      batching: { mode: 'batched' as const, probe_difference: 0 },
    }
    const worker = (id: string) => ({ id, startedAtMs: 1, models: { m: { chunksDone: 2, itemsDone: 3 } } })
    await registry.announce(worker('a'), new Map([['m', facts]]))
    await registry.announce(worker('b'), new Map())
    const silent = `${Date.now() - 60_000}:${JSON.stringify(worker('c'))}`
    await redis.client().hset('mr:{fleet}:workers', 'c', silent)
    const fleet = await registry.read()
    expect(fleet.workers).toEqual([worker('a'), worker('b')])
    await registry.withdraw('a')
    await registry.withdraw('b')
    expect(await registry.read()).toEqual({ workers: [], models: new Map([['m', facts]]) })
  })
})
