import { encodeVector, keyMaker, ResultCache } from '@millrace/cache'
import { loadConfig } from '@millrace/config'
import { jobSchema, type ModelFacts, modelListSchema } from '@millrace/contracts'
import { ChunkConsumer, encodeSettled, FleetRegistry, JobStore, settledChannel } from '@millrace/jobs'
import { cacheRedis, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from './start-gateway.js'

const model = 'all-MiniLM-L6-v2'
const millraceJson = new URL('../../../millrace.json', import.meta.url).pathname
const facts: ModelFacts = {
  version: 'v1',
  task: 'feature-extraction',
  dtype: 'q8',
  dimensions: 2,
  max_tokens: 256,
  batching: { mode: 'batched', probe_difference: 0 },
}
const vectorOf = (input: string) => encodeVector(new Float32Array([input.length, input.charCodeAt(0)]))

let queue: RedisServer
let cacheServer: RedisServer
let gateway: Gateway

const settings = (more: Record<string, string> = {}) =>
  loadConfig(
    {},
    {
      MILLRACE_CONFIG: millraceJson,
      QUEUE_REDIS_URL: queue.url,
      CACHE_REDIS_URL: cacheServer.url,
      PORT: '0',
      LOG_LEVEL: 'silent',
      MAX_ITEMS: '8',
      MAX_INPUT_CHARS: '5000',
      BODY_LIMIT_BYTES: '20000',
      ADMIN_KEY: 'open sesame',
      STOP_TIMEOUT_MS: '5000',
      ...more,
    },
  )

beforeAll(async () => {
  ;[queue, cacheServer] = await Promise.all([queueRedis(), cacheRedis()])
  gateway = await startGateway(settings())
})
afterAll(async () => {
  await gateway?.close()
  await Promise.all([queue?.stop(), cacheServer?.stop()])
})

function call(path: string, init: RequestInit = {}, at = gateway.url): Promise<Response> {
  return fetch(`${at}${path}`, { signal: AbortSignal.timeout(20_000), ...init })
}

function post(body: unknown, headers: Record<string, string> = {}, at = gateway.url): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return call(
    '/v1/jobs',
    { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text },
    at,
  )
}

/** JSON.parse's own type: what an answer holds is for the test to say. */
const bodyOf = async (response: Response) => JSON.parse(await response.text())

describe('with a worker', () => {
  let store: JobStore
  let cache: ResultCache
  let registry: FleetRegistry
  let consumer: ChunkConsumer
  let computed: string[] = []
  let hold: Promise<void> = Promise.resolve()

  beforeAll(async () => {
    store = await JobStore.connect({ url: queue.url, role: 'worker' })
    cache = await ResultCache.connect({ url: cacheServer.url, lruBytes: 0, ttlS: 100 })
    registry = await FleetRegistry.connect({ url: queue.url })
    const worker = { id: 'w1', startedAtMs: Date.now(), models: { [model]: { chunksDone: 0, itemsDone: 0 } } }
    await registry.announce(worker, new Map([[model, facts]]))
    consumer = new ChunkConsumer({
      url: queue.url,
      model,
      workerId: 'w1',
      lockMs: 10_000,
      stalledCheckMs: 5000,
      hasRoom: () => true,
      now: Date.now,
      handle: async (delivery) => {
        await hold
        const taken = await store.take(delivery.jobId, delivery.chunk, delivery.attempt, Date.now())
        if (taken.state === 'taken') {
          computed.push(...taken.items.map(({ input }) => input))
          const results = new Map(taken.items.map(({ slot, input }) => [slot, vectorOf(input)]))
          const costs = { failed: 0, hits: 0, joined: 0, tokenizeUs: 1, predictUs: 1, batchSize: 1 }
          const { jobId, chunk } = delivery
          const chunkResult = { jobId, chunk, ttlMs: taken.facts.ttlMs, results, ...costs }
          const outcome = await store.storeChunk(chunkResult, Date.now())
          if (outcome.state === 'settled-now') {
            const settled = { jobId, progress: outcome.progress, outputs: results }
            await store.publish(settledChannel, encodeSettled([settled]))
          }
        }
        await delivery.complete()
      },
    })
    consumer.start()
    await eventually(async () => {
      const models = modelListSchema.parse(await bodyOf(await call('/v1/models')))
      return models.data[0]?.workers === 1
    })
  })
  afterAll(async () => {
    await consumer?.close(2000)
    await Promise.all([store?.close(), cache?.close(), registry?.close()])
  })
  beforeEach(() => {
    computed = []
    hold = Promise.resolve()
  })

  const remember = async (inputs: readonly string[]) => {
    const keyOf = keyMaker({
      scope: 'shared',
      modelVersion: 'v1',
      task: 'feature-extraction',
      options: { truncate: false },
    })
    const entries = inputs.map((input) => ({ key: keyOf(input), value: vectorOf(input) }))
    await cache.setMany(entries)
    return entries.map(({ key }) => key)
  }

  test('a submit is 202 with its place, and can be polled until it is done', async () => {
    const accepted = await post({ model, inputs: ['poll me', 'x', 'poll me'] })
    expect(accepted.status).toBe(202)
    const job = jobSchema.parse(await bodyOf(accepted))
    expect(accepted.headers.get('location')).toBe(`/v1/jobs/${job.id}`)
    expect(accepted.headers.get('x-job-id')).toBe(job.id)
    expect(accepted.headers.get('x-cache')).toBe('miss')
    const settled = await eventually(async () => {
      const now = jobSchema.parse(await bodyOf(await call(job.urls.get)))
      return now.status === 'succeeded' && now
    })
    expect(settled.output).toEqual([
      [7, 112],
      [1, 120],
      [7, 112],
    ])
    expect(computed.sort()).toEqual(['poll me', 'x'])
  })

  test('Prefer: wait on the submit, and on the read, answers with the settled job', async () => {
    const waited = await post({ model, input: 'wait here' }, { prefer: 'wait=10' })
    expect([waited.status, waited.headers.get('preference-applied')]).toEqual([200, 'wait=10'])
    expect((await bodyOf(waited)).output).toEqual([9, 119])
    const { urls } = await bodyOf(await post({ model, input: 'wait there' }))
    expect((await bodyOf(await call(`${urls.get}?wait=10`))).status).toBe('succeeded')
  })

  test('a wait that ends first is 202 with the job as it is', async () => {
    let letGo: () => void = () => {}
    hold = new Promise((resolve) => {
      letGo = resolve
    })
    const response = await post({ model, input: 'slow one' }, { prefer: 'wait=1' })
    expect(response.status).toBe(202)
    const job = jobSchema.parse(await bodyOf(response))
    expect(job).toMatchObject({ status: 'queued', output: null })
    letGo()
    expect((await bodyOf(await call(`${job.urls.get}?wait=10`))).status).toBe('succeeded')
  })

  test('what the cache knows is 200 at once, can be read again, and is computed again once forgotten', async () => {
    const keys = await remember(['known one'])
    const hit = await post({ model, input: 'known one', options: { encoding: 'base64' } })
    expect([hit.status, hit.headers.get('x-cache')]).toEqual([200, 'hit'])
    const job = jobSchema.parse(await bodyOf(hit))
    const bytes = Buffer.from(String(job.output), 'base64')
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([9, 107])
    const again = await eventually(async () => {
      const response = await call(job.urls.get)
      return response.status === 200 && (await bodyOf(response))
    })
    expect(again).toEqual(job)
    expect(computed).toEqual([])
    // A replica with nothing in memory, and a cache that forgot.
    await cacheServer.client().del(...keys.map((key) => `mr:{${key}}:result`))
    const other = await startGateway(settings())
    try {
      const rebuilt = await bodyOf(await call(job.urls.get, {}, other.url))
      expect(rebuilt.output).toBe(job.output)
      expect(computed).toEqual(['known one'])
    } finally {
      await other.close()
    }
  })

  test('a mix of known and unknown queues the unknown only', async () => {
    await remember(['half known'])
    const response = await post({ model, inputs: ['new', 'half known', 'new'] }, { prefer: 'wait=10' })
    expect([response.status, response.headers.get('x-cache')]).toEqual([200, 'partial'])
    expect((await bodyOf(response)).output).toEqual([
      [3, 110],
      [10, 104],
      [3, 110],
    ])
    expect(computed).toEqual(['new'])
  })

  test('a request id that is fit is kept, another is replaced', async () => {
    expect((await call('/livez', { headers: { 'x-request-id': 'abc-1' } })).headers.get('x-request-id')).toBe(
      'abc-1',
    )
    const long = await call('/livez', { headers: { 'x-request-id': 'x'.repeat(129) } })
    expect(long.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })
})

describe('a Redis that is away', () => {
  test('the queue Redis: 503 within its limits, not ready, and all is well again once it is back', async () => {
    await queue.kill()
    const startedMs = performance.now()
    const response = await post({ model, input: 'nobody knows this' })
    expect(performance.now() - startedMs).toBeLessThan(5000)
    expect([response.status, (await bodyOf(response)).code]).toEqual([503, 'queue_unavailable'])
    expect(response.headers.get('retry-after')).toBe('1')
    expect((await call('/v1/jobs/01890000-0000-7000-8000-000000000000')).status).toBe(503)
    expect((await call('/readyz')).status).toBe(503)
    expect((await call('/livez')).status).toBe(200)
    await queue.restart()
    await eventually(async () => (await call('/readyz')).status === 200, { timeoutMs: 15_000 })
    const again = await eventually(
      async () => {
        const accepted = await post({ model, input: 'nobody knows this' })
        return accepted.status === 202 && accepted
      },
      { timeoutMs: 15_000 },
    )
    expect((await bodyOf(again)).status).toBe('queued')
  })

  test('the queue Redis answers nothing: 503, never a hang', async () => {
    queue.pause()
    try {
      const response = await post({ model, input: 'nobody knows that' })
      expect(response.status).toBe(503)
      expect((await call('/readyz')).status).toBe(503)
    } finally {
      queue.resume()
    }
    await eventually(async () => (await call('/readyz')).status === 200, { timeoutMs: 15_000 })
  })

  test('the cache Redis: everything is a miss and is accepted all the same', async () => {
    await cacheServer.kill()
    const response = await post({ model, input: 'without a cache' })
    expect(response.status).toBe(202)
    expect(await bodyOf(await call('/readyz'))).toMatchObject({ ready: true, cache_redis: false })
    await cacheServer.restart()
    await eventually(async () => (await bodyOf(await call('/readyz'))).cache_redis === true)
  })

  test('both at the start: it listens, says that it is not ready, and recovers by itself', async () => {
    await Promise.all([queue.kill(), cacheServer.kill()])
    const late = await startGateway(settings())
    try {
      expect((await call('/livez', {}, late.url)).status).toBe(200)
      expect((await call('/readyz', {}, late.url)).status).toBe(503)
      await Promise.all([queue.restart(), cacheServer.restart()])
      await eventually(async () => (await call('/readyz', {}, late.url)).status === 200, {
        timeoutMs: 15_000,
      })
    } finally {
      await late.close()
    }
  })
})

test('a gateway that stops answers its open waits with the job as it is, and closes twice alike', async () => {
  const stopping = await startGateway(settings())
  const client = queue.client()
  const waiting = () => client.llen(`{mr:${model}}:chunks:wait`)
  const before = await waiting()
  const open = post({ model, input: 'still waiting' }, { prefer: 'wait=30' }, stopping.url)
  await eventually(async () => (await waiting()) === before + 1)
  await Promise.all([stopping.close(), stopping.close()])
  const response = await open
  expect([response.status, (await bodyOf(response)).status]).toEqual([202, 'queued'])
  await expect(fetch(`${stopping.url}/livez`)).rejects.toThrow()
})
