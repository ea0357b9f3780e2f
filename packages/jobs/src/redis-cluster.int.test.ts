/** The whole way of jobs on Redis Cluster, which refuses keys of different jobs in one step: a node that has all slots. */
import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ChunkConsumer, type ChunkDelivery, type ConsumerEvent } from './chunk-consumer.js'
import { ChunkQueues } from './chunk-queues.js'
import { JobList } from './job-list.js'
import { JobStore } from './job-store.js'
import { newJob, result, stored, vector } from './job-under-test.js'
import { freshProgress, limitsFrom, type NewJob } from './record.js'
import { SettledChannel } from './settled-channel.js'
import { Subscriber } from './subscriber.js'

let redis: RedisServer
const closers: (() => unknown)[] = []

beforeAll(async () => {
  redis = await queueRedis({ cluster: true })
  const admin = redis.client()
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await eventually(async () => String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'))
})
afterAll(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await redis.stop()
})

function opened<T extends { close: () => unknown }>(one: T): T {
  closers.push(() => one.close())
  return one
}

type Delivered = { type: 'delivered'; delivery: ChunkDelivery }

it('jobs of one moment are written, listed, queued, taken, stored and told, each by itself', async () => {
  const gateway = opened(await JobStore.connect({ url: redis.url, role: 'gateway' }))
  const worker = opened(await JobStore.connect({ url: redis.url, role: 'worker' }))
  const channel = opened(new SettledChannel(opened(new Subscriber({ url: redis.url }))))
  const queues = opened(ChunkQueues.open({ store: gateway, models: ['m'], attempts: 3 }))
  const list = new JobList(gateway)
  await eventually(() => queues.healthy)
  const nowMs = Date.now()
  const jobs: NewJob[] = Array.from({ length: 5 }, () => newJob({ createdAtMs: nowMs, startLimitMs: 60_000 }))

  const tellings = jobs.map(({ id }) => channel.waitFor(id, 10_000))
  const accepting = jobs.map((job) => [
    gateway.createTogether(job),
    list.addTogether(job, nowMs),
    queues.add('m', { jobId: job.id, run: 0, chunks: [0] }, 0, { company: { workers: 1, chars: 5 } }),
  ])
  const accepted = await Promise.all(
    accepting.map(([created, ...others]) => Promise.all([created, ...others])),
  )
  expect(accepted.map(([created]) => created)).toEqual(jobs.map(() => true))
  const page = await list.page({ tenant: 't', limit: 10 })
  expect(page.jobs.map(({ id }) => id).sort()).toEqual(jobs.map(({ id }) => id))

  const log = collectEvents<ConsumerEvent | Delivered>()
  const consumer = new ChunkConsumer({
    ...{ url: redis.url, model: 'm', workerId: 'w', lockMs: 5000, stalledCheckMs: 2500 },
    hasRoom: () => true,
    now: Date.now,
    on: log.on,
    handle: async (delivery) => log.on({ type: 'delivered', delivery }),
  })
  closers.push(() => consumer.close(200))
  consumer.start()
  await eventually(() => log.all('delivered').length === jobs.length)
  const deliveries = log.all('delivered').map(({ delivery }) => delivery)
  const taken = await Promise.all(deliveries.map((one) => worker.take(one, one.attempt, nowMs)))
  expect(taken.map(({ state }) => state)).toEqual(jobs.map(() => 'taken'))

  const progress = {
    ...freshProgress(1, limitsFrom(jobs[0] ?? newJob(), nowMs)),
    status: 'succeeded' as const,
    startedAtMs: nowMs,
  }
  const storing = deliveries.map(({ jobId }, i) => {
    const { known: _known, chunks: _chunks, ...facts } = jobs[i] ?? newJob()
    return worker.storeChunk(result(jobId, 0, [[0, vector(i)]]), nowMs, { facts, progress })
  })
  expect((await Promise.all(storing)).map(({ state }) => state)).toEqual(jobs.map(() => 'settled-now'))
  const told = await Promise.all(tellings)
  for (const [i, { id }] of jobs.entries()) {
    expect(told[i]).toMatchObject({ jobId: id, progress: { status: 'succeeded' } })
    expect(await stored(gateway, id)).toMatchObject({ status: 'succeeded', outputs: told[i]?.outputs })
  }
  expect(told.map((one) => one?.outputs?.get(0))).toEqual(jobs.map((_, i) => vector(i)))
  for (const delivery of deliveries) await delivery.complete()
  expect((await queues.depth('m', nowMs)).active).toBe(0)
  expect(log.all('consumer-error')).toEqual([])
})
