import { encodeVector } from '@millrace/cache'
import {
  type ChunkResult,
  JobStore,
  type NewJob,
  SettledChannel,
  type SettledJob,
  Subscriber,
} from '@millrace/jobs'
import { eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chunkResult } from './chunk-result.js'
import type { ItemAnswer } from './items-in-flight.js'
import { foresee, SettledTeller } from './tell-settled.js'

let redis: RedisServer
let store: JobStore
let subscriber: Subscriber
let channel: SettledChannel

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'worker' })
  subscriber = new Subscriber({ url: redis.url })
  channel = new SettledChannel(subscriber)
  await eventually(async () => (await redis.client().pubsub('NUMSUB', 'mr:settled'))[1] === 1)
})
afterAll(async () => {
  channel.close()
  await subscriber.close()
  await store.close()
  await redis.stop()
})

const vectorOf = (dimensions: number) => encodeVector(new Float32Array(dimensions).fill(0.5))
const vector = vectorOf(8)
const answer: ItemAnswer = {
  bytes: vector,
  via: 'computed',
  tokenizeMs: 0.123_456,
  batch: { size: 1, predictMs: 3.987_654 },
}
const now = Date.now()

function newJob(id: string, change: Partial<NewJob> = {}): NewJob {
  return {
    id,
    model: 'm',
    scope: 's',
    tenant: 't',
    priority: 0,
    metadata: {},
    webhook: null,
    requestDigest: null,
    requestId: 'r',
    single: true,
    encoding: 'float',
    truncate: false,
    slots: [0],
    slotCount: 1,
    knownCount: 0,
    createdAtMs: now - 50,
    startLimitMs: 60_000,
    lifeLimitMs: 120_000,
    ttlMs: 60_000,
    known: new Map(),
    chunks: [[{ slot: 0, input: 'a' }]],
    ...change,
  }
}

/** Takes the only chunk of a new job, and answers what it came to. */
async function computed(job: NewJob, answers: ItemAnswer[], attempt = 1) {
  await store.create(job)
  const taken = await store.take({ jobId: job.id, run: 0, chunk: 0 }, attempt, now - 20)
  if (taken.state !== 'taken') throw new Error(`the chunk is ${taken.state}`)
  const result = chunkResult({ jobId: job.id, run: 0, chunk: 0 }, taken.facts, taken.items, answers)
  return { taken, result }
}

describe('a job whose only chunk is stored', () => {
  it.each([
    { id: 'limited', lifeLimitMs: 120_000, attempt: 1, bytes: vector, travels: true },
    { id: 'unlimited', lifeLimitMs: null, attempt: 2, bytes: vector, travels: true },
    { id: 'just small', lifeLimitMs: null, attempt: 1, bytes: vectorOf(2046), travels: true },
    { id: 'large', lifeLimitMs: null, attempt: 1, bytes: vectorOf(2047), travels: false },
  ])('is told by the store in the words of the teller ($id)', async (job) => {
    const { id, lifeLimitMs, attempt, bytes, travels } = job
    const { taken, result } = await computed(newJob(id, { lifeLimitMs }), [{ ...answer, bytes }], attempt)
    const byStore = channel.waitFor(id, 5000)
    const outcome = await store.storeChunk(result, now, foresee(result, attempt, taken, now))
    if (outcome.state !== 'settled-now') throw new Error(`the chunk was ${outcome.state}`)
    const told: SettledJob | undefined = await byStore
    const byTeller = channel.waitFor(id, 5000)
    await new SettledTeller(store, () => {}).tell({ ...outcome, results: result.results })
    expect(told).toMatchObject({
      jobId: id,
      progress: { status: 'succeeded', tokenizeUs: 123, predictUs: 3988 },
    })
    expect(told).toEqual(await byTeller)
    expect(told?.outputs).toEqual(travels ? new Map([[0, bytes]]) : null)
    // What was foreseen is what the record says.
    expect(await store.read(id)).toMatchObject({ ...outcome.facts, ...outcome.progress })
  })
})

describe('any other job is told by the teller:', () => {
  const lone = async (id: string) => computed(newJob(id), [answer])
  it.each<{ what: string; change: Partial<ChunkResult> }>([
    { what: 'one that failed', change: { failed: 1 } },
    { what: 'one that is tried again, whose limits are newer', change: { run: 1 } },
    { what: 'one with other parts', change: { results: new Map() } },
  ])('$what', async ({ what, change }) => {
    const { taken, result } = await lone(what)
    expect(foresee(result, 1, taken, now)).toBeDefined()
    expect(foresee({ ...result, ...change }, 1, taken, now)).toBeUndefined()
  })
})
