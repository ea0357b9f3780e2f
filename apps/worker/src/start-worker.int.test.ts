import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { keyMaker } from '@millrace/cache'
import { loadConfig } from '@millrace/config'
import type { ModelFacts } from '@millrace/contracts'
import {
  ChunkQueues,
  endJob,
  FleetRegistry,
  JobStore,
  JobWatch,
  type NewJob,
  type StoredJob,
  WebhookQueue,
} from '@millrace/jobs'
import { builtInEngine } from '@millrace/model'
import { cacheRedis, collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { loadTextTokenizer } from '@millrace/tokenizer'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { WorkerEvent } from './events.js'
import { startWorker, type Worker } from './start-worker.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const alias = 'all-MiniLM-L6-v2'
const batchItems = 4
/** One batch runs and one is ready. */
const itemsOut = 2 * batchItems

let queueServer: RedisServer
let cacheServer: RedisServer
let cache: ReturnType<RedisServer['client']>
let folder: string
let store: JobStore
let queues: ChunkQueues
let webhooks: WebhookQueue
let worker: Worker
let facts: ModelFacts
/** The content key of a text, and the token ids by which the engine knows it. */
let keyOf: (text: string) => string
let idsOf: (text: string) => string
const log = collectEvents<WorkerEvent>()

beforeAll(async () => {
  ;[queueServer, cacheServer] = await Promise.all([queueRedis(), cacheRedis()])
  cache = cacheServer.client()
  folder = await mkdtemp(join(tmpdir(), 'millrace-worker-'))
  const engineModule = join(folder, 'engine.mjs')
  await writeFile(engineModule, heldEngine)
  const config = loadConfig({
    QUEUE_REDIS_URL: queueServer.url,
    CACHE_REDIS_URL: cacheServer.url,
    MILLRACE_CONFIG: join(root, 'millrace.json'),
    MILLRACE_DATA_DIR: folder,
    LOG_LEVEL: 'silent',
    BATCH_ITEMS: String(batchItems),
    // All of a test's items are in hand at once.
    BATCH_TOKENS: '4096',
  })
  worker = await startWorker(config, { engineModule, onEvent: log.on })
  store = await JobStore.connect({ url: queueServer.url, role: 'gateway' })
  queues = ChunkQueues.open({ store, models: [alias], attempts: 3 })
  webhooks = await WebhookQueue.connect({ url: queueServer.url, role: 'gateway' })
  const registry = await FleetRegistry.connect({ url: queueServer.url })
  facts = await eventually(async () => (await registry.read()).models.get(alias))
  await registry.close()
  keyOf = keyMaker({
    scope: 's',
    modelVersion: facts.version,
    task: 'feature-extraction',
    options: { truncate: false },
  })
  const tokenizer = await loadTextTokenizer(join(root, 'models', alias))
  idsOf = (text) => tokenizer.encode(text, { truncate: false }).ids.join(' ')
})
afterAll(async () => {
  await rm(join(folder, 'hold'), { force: true })
  await worker.close()
  await webhooks.close()
  await queues.close()
  await store.close()
  await Promise.all([queueServer.stop(), cacheServer.stop()])
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  await eventually(async () => (await claimed()).length === 0)
})

/** The fake engine, which writes down what it computes, and does not end a batch while the file `hold` is there. */
const heldEngine = `
import { appendFileSync, existsSync } from 'node:fs'
import { createEngine as createFake } from ${JSON.stringify(pathToFileURL(builtInEngine('fake')).href)}
const file = (name) => new URL(name, import.meta.url)
export const createEngine = (spec) => {
  const fake = createFake(spec)
  return {
    ...fake,
    async run(batch) {
      for (const { ids } of batch) appendFileSync(file('computed'), ids.join(' ') + '\\n')
      while (existsSync(file('hold'))) await new Promise((resolve) => setTimeout(resolve, 5))
      return fake.run(batch)
    },
  }
}
`
const hold = () => writeFile(join(folder, 'hold'), '')
const letGo = () => rm(join(folder, 'hold'))

/** How often the model computed each of these texts. */
function timesComputed(texts: readonly string[]): number[] {
  const file = join(folder, 'computed')
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  return texts.map((text) => {
    const ids = idsOf(text)
    return lines.filter((line) => line === ids).length
  })
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)
const claimed = () => cache.keys('mr:{*}:claim')
const claimKey = (text: string) => `mr:{${keyOf(text)}}:claim`
const resultKey = (text: string) => `mr:{${keyOf(text)}}:result`
const textsOf = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i}`)

async function submit(id: string, texts: readonly string[], change: Partial<NewJob> = {}): Promise<NewJob> {
  const slots = texts.map((input, slot) => ({ slot, input }))
  const chunks = Array.from({ length: Math.ceil(slots.length / 32) }, (_, i) =>
    slots.slice(i * 32, i * 32 + 32),
  )
  const job: NewJob = {
    id,
    model: alias,
    scope: 's',
    tenant: 't',
    priority: 0,
    metadata: {},
    webhook: null,
    requestDigest: null,
    requestId: 'r',
    single: false,
    encoding: 'float',
    truncate: false,
    slots: slots.map(({ slot }) => slot),
    slotCount: slots.length,
    knownCount: 0,
    createdAtMs: Date.now(),
    startLimitMs: 60_000,
    lifeLimitMs: null,
    ttlMs: 60_000,
    known: new Map(),
    chunks,
    ...change,
  }
  await store.create(job)
  await queues.add(alias, { jobId: id, run: 0, chunks: chunks.map((_, chunk) => chunk) }, 0)
  return job
}

async function read(id: string): Promise<StoredJob> {
  const job = await store.read(id)
  if (job?.kind !== 'stored') throw new Error(`there is no job ${id}`)
  return job
}

/** Resolves when the worker holds claims of so many texts: they are in the batcher or out. */
const holds = (count: number) => eventually(async () => (await claimed()).length === count)
const passedOver = (id: string, chunks: number) =>
  eventually(() => log.all('chunk-passed-over').filter(({ jobId }) => jobId === id).length === chunks)
const settled = (id: string) => log.next('job-settled', ({ jobId }) => jobId === id, { timeoutMs: 20_000 })

it('how batches are cut is announced with the model, and said in one line', () => {
  const policy = { max_padded_tokens: 4096, max_items: batchItems, found: 'set', tokens_per_s: null }
  expect(facts.batching.policy).toEqual(policy)
  const [event] = log.all('batch-policy')
  expect(event).toMatchObject({ model: alias, ...policy })
  expect(event?.says).toBe(`batches of up to 4,096 padded tokens and ${batchItems} items (as set)`)
})

describe('a job of 64 items that is canceled in mid-work', () => {
  it('is computed no further, while a job that shares 10 of its texts goes on and computes them once', async () => {
    const ofJob = textsOf('canceled', 64)
    const shared = ofJob.slice(-10)
    const ofOther = [...shared, ...textsOf('other', 10)]
    await hold()
    await submit('canceled', ofJob)
    await holds(64)
    await submit('other', ofOther)
    await log.next('items-looked-up', ({ joined }) => joined === 10)
    await eventually(() => sum(timesComputed(ofJob)) >= batchItems)

    const context = { store, queues, watch: new JobWatch(store), webhooks, now: Date.now }
    await endJob(await read('canceled'), 'canceled', { code: 'job_canceled', detail: 'enough' }, context)
    await passedOver('canceled', 2)
    await holds(itemsOut + ofOther.length)
    expect(await claimed()).toEqual(expect.arrayContaining(ofOther.map(claimKey)))

    await letGo()
    expect(await settled('other')).toMatchObject({ status: 'succeeded' })
    await holds(0)
    const alone = ofJob.slice(0, -10)
    const computed = alone.filter((_, i) => timesComputed(alone)[i] === 1)
    expect(computed).toHaveLength(itemsOut)
    expect(sum(timesComputed(alone))).toBe(itemsOut)
    expect(timesComputed(ofOther)).toEqual(ofOther.map(() => 1))
    // What had begun is not thrown away.
    expect(await cache.exists(...computed.map(resultKey))).toBe(itemsOut)
    expect(await read('canceled')).toMatchObject({ status: 'canceled', outputs: new Map() })
    expect(await read('other')).toMatchObject({ status: 'succeeded', joined: 10 })
    expect((await read('other')).outputs.size).toBe(20)
  })
})

describe('a job whose limit passes in mid-work', () => {
  it('expires then, is computed no further, and a second run computes only what is missing', async () => {
    const texts = textsOf('late', 64)
    await hold()
    const job = await submit('late', texts, { lifeLimitMs: 2000 })
    await holds(64)
    expect(await settled('late')).toMatchObject({ status: 'expired' })
    await passedOver('late', 2)
    await holds(itemsOut)
    expect(await read('late')).toMatchObject({ status: 'expired', outputs: new Map() })
    await letGo()
    await holds(0)
    expect(sum(timesComputed(texts))).toBe(itemsOut)

    const again = await store.retry({ ...job, lifeLimitMs: 20_000 }, Date.now())
    if (again.state !== 'queued') throw new Error(`the retry is ${again.state}`)
    await queues.add(alias, { jobId: 'late', run: 1, chunks: again.chunks }, 0)
    await eventually(async () => (await read('late')).status === 'succeeded')
    expect(timesComputed(texts)).toEqual(texts.map(() => 1))
    expect(await read('late')).toMatchObject({ hits: itemsOut, run: 1 })
  })
})

describe('a webhook', () => {
  it('is queued once for the start and once for the end of a job of many chunks', async () => {
    const webhook = { url: 'https://example.com', events: ['job.started', 'job.succeeded'] as const }
    await submit('told', textsOf('told', 70), { webhook: { ...webhook, events: [...webhook.events] } })
    await settled('told')
    const queued = await eventually(async () => {
      const jobs = await webhooks.queue.getJobs(['waiting'])
      return jobs.length >= 2 && jobs
    })
    expect(queued.map(({ data }) => data).sort((a, b) => (a.event > b.event ? 1 : -1))).toEqual([
      { job: 'told', run: 0, event: 'job.started' },
      { job: 'told', run: 0, event: 'job.succeeded' },
    ])
  })
})
