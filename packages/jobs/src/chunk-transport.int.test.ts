import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { aheadChannel, type ChunkAhead, encodeAhead, onAhead } from './ahead-channel.js'
import {
  ChunkConsumer,
  type ChunkConsumerOptions,
  type ChunkDelivery,
  type ConsumerEvent,
  oldestFetchedEvery,
} from './chunk-consumer.js'
import { ChunkQueues } from './chunk-queues.js'
import { JobStore } from './job-store.js'
import { inChunks, newJob, now } from './job-under-test.js'
import { freshProgress } from './record.js'
import { SettledChannel, settledChannel } from './settled-channel.js'
import { encodeSettled } from './settled-message.js'
import { Subscriber } from './subscriber.js'

let redis: RedisServer
let store: JobStore
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
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
  closers.push(() => store.close())
  queues = ChunkQueues.open({ store, models: [model], attempts: 2 })
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

/** The first `count` chunks of a job. */
function add(model: string, jobId: string, count: number, priority = 0, run = 0) {
  const chunks = Array.from({ length: count }, (_, chunk) => chunk)
  return queues.add(model, { jobId, run, chunks }, priority)
}
const depth = (model: string) => queues.depth(model, Date.now())

describe('a chunk told ahead', () => {
  const told = (jobId: string): ChunkAhead => {
    const { known: _known, chunks: _chunks, ...facts } = newJob({ id: jobId })
    return { facts, items: [{ slot: 0, input: 'a' }], claimed: 'key' }
  }
  /** Queued as a gateway queues what it told ahead, and in the hands of the worker that was told. */
  async function inHand(delayMs: number) {
    const { model, consumer } = await open()
    let end: (how: 'complete' | 'giveBack') => Promise<void> = async () => {}
    let hurry: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      hurry = resolve
    })
    const { one, chunk, log } = consumer('w', {
      handle: async (delivery) => {
        if (!delivery.ahead) return log.on({ type: 'delivered', delivery })
        end = async (how) => {
          await delivery[how]()
          hurry()
        }
        return held
      },
    })
    one.start()
    await queues.add(model, { jobId: 'j', run: 0, chunks: [0] }, 0, { delayMs })
    const taken = one.handleAhead(told('j'))
    return { model, one, chunk, log, taken, end: (how: 'complete' | 'giveBack') => end(how) }
  }

  it('stays in the queue until it is due, and comes then, however it ended', async () => {
    const { model, chunk, log, end } = await inHand(400)
    await end('complete')
    expect(await depth(model)).toMatchObject({ waiting: 1, delayed: 1, active: 0 })
    expect(log.all('delivered')).toEqual([])
    const { delivery } = await chunk('j')
    expect(delivery).toMatchObject({ jobId: 'j', run: 0, chunk: 0, attempt: 1 })
    await delivery.complete()
    await eventually(async () => (await depth(model)).active === 0)
  })

  it('comes at once where it is given back', async () => {
    const { chunk, end } = await inHand(600_000)
    await end('giveBack')
    const { delivery } = await chunk('j')
    await delivery.complete()
  })

  it('is in hand as any other: closing waits for it', async () => {
    const { one, taken, end } = await inHand(600_000)
    expect(taken).toBe(true)
    expect(one.chunksInHand).toBe(1)
    const closed = one.close(60_000).then(() => 'closed')
    expect(await Promise.race([closed, Promise.resolve('open')])).toBe('open')
    await end('complete')
    expect(await closed).toBe('closed')
  })

  it('is refused by one that has stopped or not begun', async () => {
    const { consumer } = await open()
    const { one, log } = consumer('w')
    expect(one.handleAhead(told('j'))).toBe(false)
    one.start()
    one.stopFetching()
    expect(one.handleAhead(told('j'))).toBe(false)
    expect(log.all('delivered')).toEqual([])
  })

  it('is heard by the worker it is meant for, and no other; what another version says is passed over', async () => {
    const subscriber = new Subscriber({ url: redis.url })
    closers.push(() => subscriber.close())
    const heard: ChunkAhead[] = []
    onAhead(subscriber, 'w', (one) => heard.push(one))
    const client = redis.client()
    await eventually(async () => Number((await client.pubsub('NUMSUB', aheadChannel('w')))[1]) === 1)
    await client.publish(aheadChannel('v'), encodeAhead(told('a')))
    await client.publish(aheadChannel('w'), JSON.stringify([2, 'news']))
    await client.publish(aheadChannel('w'), encodeAhead(told('b')))
    await eventually(() => heard.length > 0)
    expect(heard).toEqual([told('b')])
  })
})

describe('chunks', () => {
  it('arrive once each, and a job added twice is still one job', async () => {
    const { model, consumer } = await open()
    await add(model, 'j', 3)
    await add(model, 'j', 3)
    expect(await depth(model)).toMatchObject({ waiting: 3, active: 0, oldestWaitMs: expect.any(Number) })
    const { one, log } = consumer('w')
    one.start()
    await eventually(() => log.all('delivered').length === 3)
    const chunks = log.all('delivered').map(({ delivery }) => delivery)
    expect(chunks.map(({ chunk }) => chunk)).toEqual([0, 1, 2])
    for (const delivery of chunks) await delivery.complete()
    expect(await depth(model)).toEqual({ waiting: 0, delayed: 0, active: 0, oldestWaitMs: null })
  })

  it('of priority 0 go before those of 5, these before those of 9, and equal ones in their order', async () => {
    const { model, consumer } = await open()
    for (const priority of [9, 5, 0]) {
      for (const name of ['a', 'b']) await add(model, `${name}${priority}`, 2, priority)
    }
    expect(await depth(model)).toMatchObject({ waiting: 12 })
    const { one, log } = consumer('w')
    one.start()
    await eventually(() => log.all('delivered').length === 12)
    const arrived = log.all('delivered').map(({ delivery }) => `${delivery.jobId}-${delivery.chunk}`)
    const byPriority = ['a0', 'b0', 'a5', 'b5', 'a9', 'b9'].flatMap((name) => [`${name}-0`, `${name}-1`])
    // The eighth fetch takes what has waited longest.
    const [oldest = ''] = byPriority.splice(byPriority.indexOf('a9-0'), 1)
    expect(arrived).toEqual(byPriority.toSpliced(oldestFetchedEvery - 1, 0, oldest))
  })

  it.each([{ others: 0 }, { others: 3 }])(
    'of priority 9 are taken in bounded time, however many of priority $others keep coming',
    async ({ others }) => {
      const { model, consumer } = await open()
      await add(model, 'bulk', 2, 9)
      await add(model, 'first', 2, others)
      const { one, log } = consumer('w', {
        handle: async (delivery) => {
          // Two come for each that is taken: the queue never runs out of them.
          await add(model, `next-${delivery.jobId}-${delivery.chunk}`, 2, others)
          log.on({ type: 'delivered', delivery })
          await delivery.complete()
        },
      })
      one.start()
      const bulk = () =>
        log.all('delivered').flatMap(({ delivery }, fetch) => (delivery.jobId === 'bulk' ? fetch + 1 : []))
      await eventually(() => bulk().length === 2)
      expect(bulk()).toEqual([oldestFetchedEvery, 2 * oldestFetchedEvery])
    },
  )

  it('of priority 9 wait for older ones of priority 0, also when it is the turn of the oldest', async () => {
    const { model, consumer } = await open()
    await add(model, 'old', oldestFetchedEvery + 1, 0)
    const added = Date.now()
    await eventually(() => Date.now() > added)
    await add(model, 'bulk', 1, 9)
    const { one, log } = consumer('w')
    one.start()
    await eventually(() => log.all('delivered').length === oldestFetchedEvery + 2)
    expect(log.all('delivered').at(-1)?.delivery.jobId).toBe('bulk')
  })

  it('that wait are waited for, whatever their priority', async () => {
    const { model } = await open()
    expect(await depth(model)).toEqual({ waiting: 0, delayed: 0, active: 0, oldestWaitMs: null })
    await add(model, 'patient', 2, 5)
    const [patient] = (await queues.queues().get(model)?.getPrioritized()) ?? []
    const afterMs = (patient?.timestamp ?? 0) + 7000
    expect(await queues.depth(model, afterMs)).toEqual({
      waiting: 2,
      delayed: 0,
      active: 0,
      oldestWaitMs: 7000,
    })
    await add(model, 'urgent', 1)
    expect(await queues.depth(model, afterMs)).toEqual({
      waiting: 3,
      delayed: 0,
      active: 0,
      oldestWaitMs: 7000,
    })
  })

  it('of a later run are other chunks: those of the first one do not swallow them', async () => {
    const { model, consumer } = await open()
    const { one, log, chunk } = consumer('w')
    one.start()
    await add(model, 'j', 2)
    await eventually(() => log.all('delivered').length === 2)
    for (const { delivery } of log.all('delivered')) await delivery.complete()
    await queues.add(model, { jobId: 'j', run: 1, chunks: [1] }, 0)
    await queues.add(model, { jobId: 'j', run: 1, chunks: [1] }, 0)
    await add(model, 'end', 1)
    await chunk('end')
    const runs = log.all('delivered').map(({ delivery: { jobId, run, chunk } }) => `${jobId} ${run} ${chunk}`)
    expect(runs).toEqual(['j 0 0', 'j 0 1', 'j 1 1', 'end 0 0'])
  })

  it('taken out are gone where they wait, whatever their priority, and stay where a worker has them', async () => {
    const { model, consumer } = await open()
    let room = 1
    const worker: ReturnType<typeof consumer> = consumer('w', {
      hasRoom: () => worker.log.all('delivered').length < room,
    })
    const { one, log, chunk } = worker
    one.start()
    await add(model, 'j', 1)
    const { delivery } = await chunk('j')
    await add(model, 'j', 3, 5)
    await add(model, 'other', 1)
    await add(model, 'j', 1, 0, 1)
    const all = { jobId: 'j', run: 0, chunks: [0, 1, 2, 3] }
    await queues.remove(model, all)
    await queues.remove(model, all)
    expect(await depth(model)).toMatchObject({ waiting: 2, active: 1 })
    await delivery.complete()
    expect(log.all('consumer-error')).toEqual([])
    room = 3
    one.roomChanged()
    await chunk('other')
    await log.next('delivered', ({ delivery: { jobId, run } }) => jobId === 'j' && run === 1)
    expect(log.all('delivered')).toHaveLength(3)
  })

  it('never arrive before their record, where both are sent in one turn', async () => {
    const { model, consumer } = await open()
    const worker = await JobStore.connect({ url: redis.url, role: 'worker' })
    closers.push(() => worker.close())
    const states: string[] = []
    const { one } = consumer('w', {
      handle: async (delivery) => {
        states.push((await worker.take(delivery, 1, now)).state)
        await delivery.complete()
      },
    })
    one.start()
    const accept = (i: number) => {
      const job = newJob({ model, ...inChunks(1 + (i % 2)) })
      return Promise.all([store.create(job), add(model, job.id, job.chunks.length, (i % 3) * 4)])
    }
    // The first ones of a connection, which carry the scripts themselves; one by one; and many at once.
    await accept(0)
    for (let i = 0; i < 20; i++) await accept(i)
    await Promise.all(Array.from({ length: 50 }, (_, i) => accept(i)))
    // Redis forgets its scripts, as it does when a replica takes over.
    await redis.client().script('FLUSH')
    await Promise.all(Array.from({ length: 20 }, (_, i) => accept(i)))
    const chunks = 1 + 30 + 75 + 30
    await eventually(() => states.length === chunks, { timeoutMs: 15_000, what: `${chunks} chunks` })
    expect(new Set(states)).toEqual(new Set(['taken']))
  })

  it('of a model that nobody knows are refused', async () => {
    await open()
    const unknown = { code: 'model_not_found' }
    await expect(add('none', 'j', 1)).rejects.toMatchObject(unknown)
    await expect(queues.remove('none', { jobId: 'j', run: 0, chunks: [0] })).rejects.toMatchObject(unknown)
  })

  it('are not fetched while there is no room', async () => {
    let room = false
    const { model, consumer } = await open({ hasRoom: () => room })
    const { one, log, chunk } = consumer('w')
    one.start()
    await add(model, 'j', 1)
    expect(await depth(model)).toMatchObject({ waiting: 1 })
    expect(log.all('delivered')).toEqual([])
    room = true
    one.roomChanged()
    await (await chunk('j')).delivery.complete()
  })

  it('are left to others until they are needed, and that is no silence', async () => {
    const { model, consumer } = await open()
    let [neededInMs, nowMs] = [60_000, 0]
    const busy = consumer('busy', { neededInMs: () => neededInMs, now: () => nowMs })
    busy.one.start()
    nowMs = 60_000
    expect(busy.one.silentMs).toBe(0)
    const idle = consumer('idle')
    for (const job of ['j1', 'j2', 'j3']) await add(model, job, 1)
    idle.one.start()
    for (const job of ['j1', 'j2', 'j3']) await (await idle.chunk(job)).delivery.complete()
    expect(busy.log.all('delivered')).toEqual([])
    await idle.one.close(200)
    await add(model, 'j4', 1)
    neededInMs = 0
    busy.one.roomChanged()
    await (await busy.chunk('j4')).delivery.complete()
  })

  it('are looked for, and not waited for, while there is enough to do', async () => {
    const { model, consumer } = await open()
    let enough = true
    const looked = vi.fn(() => enough)
    const one = consumer('supplied', { isSupplied: looked })
    await add(model, 'there', 1)
    one.one.start()
    await (await one.chunk('there')).delivery.complete()
    // It looked once more, and found nothing.
    await eventually(() => looked.mock.calls.length > 0)
    const other = consumer('hungry')
    other.one.start()
    await add(model, 'later', 1)
    await (await other.chunk('later')).delivery.complete()
    expect(one.log.all('delivered')).toHaveLength(1)
    await other.one.close(200)
    enough = false
    one.one.roomChanged()
    await add(model, 'wanted', 1)
    await (await one.chunk('wanted')).delivery.complete()
  })

  it('given back are there at once for another worker, and that is no failed try', async () => {
    const { model, consumer } = await open()
    const first = consumer('w1')
    first.one.start()
    await add(model, 'j', 1)
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
    await add(model, 'j', 1)
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
    await add(model, 'j', 1)
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
    await add(model, 'j', 1)
    const { delivery } = await holder.chunk('j')
    thief.one.start()
    const lock = () => redis.client().pttl(`{mr:${model}}:chunks:j-0:lock`)
    // Renewed every 500 ms of its 1500: it has been when more is left than before.
    let before = await lock()
    await eventually(
      async () => {
        const left = await lock()
        const isRenewed = left > before
        before = left
        return isRenewed
      },
      { timeoutMs: 5000 },
    )
    expect(thief.log.all('delivered')).toEqual([])
    await delivery.complete()
  })

  it('flow again after a restart of Redis, without a new consumer', async () => {
    const { model, consumer } = await open()
    const { one, chunk } = consumer('w')
    one.start()
    await add(model, 'before', 1)
    await (await chunk('before')).delivery.complete()
    await redis.kill('SIGTERM')
    await expect(add(model, 'refused', 1)).rejects.toMatchObject({ code: 'queue_unavailable' })
    const taken = queues.remove(model, { jobId: 'before', run: 0, chunks: [0] })
    await expect(taken).rejects.toMatchObject({ code: 'queue_unavailable' })
    await redis.restart()
    await eventually(() => queues.healthy)
    await add(model, 'after', 1)
    await (await chunk('after')).delivery.complete()
  })
})

describe('the settled channel', () => {
  const progress = {
    ...freshProgress(1, { startByMs: 1000, settleByMs: null }),
    status: 'succeeded' as const,
  }
  async function openChannel() {
    const events = collectEvents<{ type: string }>()
    const subscriber = new Subscriber({ url: redis.url, on: events.on })
    const channel = new SettledChannel(subscriber)
    const store = await JobStore.connect({ url: redis.url, role: 'worker' })
    closers.push(
      () => subscriber.close(),
      async () => channel.close(),
      () => store.close(),
    )
    await eventually(async () => Number((await redis.client().pubsub('NUMSUB', settledChannel))[1]) > 0)
    const tell = (jobId: string) =>
      store.publish(settledChannel, encodeSettled([{ jobId, progress, outputs: null }]))
    return { channel, store, tell, events }
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
    expect(channel.waiting).toBe(0)
  })

  it('hears again after an outage', async () => {
    const { channel, store, tell } = await openChannel()
    await redis.kill('SIGTERM')
    await redis.restart()
    const listeners = async () => Number((await redis.client().pubsub('NUMSUB', settledChannel))[1])
    await eventually(async () => (await listeners()) > 0)
    // Whoever tells has a connection of its own, which may still be the one that died.
    await eventually(() => store.ping().then(() => true))
    const waiting = channel.waitFor('a', 60_000)
    await tell('a')
    expect(await waiting).toEqual({ jobId: 'a', progress, outputs: null })
  })

  it('that is closed releases all waits, and leaves the subscriber to others', async () => {
    const { channel } = await openChannel()
    const waiting = channel.waitFor('a', 60_000)
    channel.close()
    expect(await waiting).toBeUndefined()
    await eventually(async () => (await redis.client().pubsub('NUMSUB', settledChannel))[1] === 0)
  })
})
