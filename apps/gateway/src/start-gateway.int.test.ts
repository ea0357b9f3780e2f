import { jobSchema, modelListSchema } from '@millrace/contracts'
import { eventually } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeWorker, rememberResults } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'

let site: GatewayUnderTest

beforeAll(async () => {
  site = await GatewayUnderTest.start()
})
afterAll(() => site?.stop())

const call: GatewayUnderTest['call'] = (...args) => site.call(...args)
const post: GatewayUnderTest['post'] = (...args) => site.post(...args)

describe('with a worker', () => {
  let worker: FakeWorker

  beforeAll(async () => {
    worker = await FakeWorker.start(site.queue.url)
    await eventually(async () => {
      const models = modelListSchema.parse(await bodyOf(await call('/v1/models')))
      return models.data[0]?.workers === 1
    })
  })
  afterAll(() => worker?.stop())
  beforeEach(() => worker.reset())

  const remember = (inputs: readonly string[]) => rememberResults(site.cacheServer.url, inputs)

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
    expect(worker.computed.sort()).toEqual(['poll me', 'x'])
  })

  test('Prefer: wait on the submit, and on the read, answers with the settled job', async () => {
    const waited = await post({ model, input: 'wait here' }, { prefer: 'wait=10' })
    expect([waited.status, waited.headers.get('preference-applied')]).toEqual([200, 'wait=10'])
    expect((await bodyOf(waited)).output).toEqual([9, 119])
    const { urls } = await bodyOf(await post({ model, input: 'wait there' }))
    expect((await bodyOf(await call(`${urls.get}?wait=10`))).status).toBe('succeeded')
  })

  test('a wait that ends first is 202 with the job as it is', async () => {
    const letGo = worker.hold()
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
    expect(worker.computed).toEqual([])
    // A replica with nothing in memory, and a cache that forgot.
    await site.cacheServer.client().del(...keys.map((key) => `mr:{${key}}:result`))
    const other = await site.another()
    const rebuilt = await bodyOf(await call(job.urls.get, {}, other))
    expect(rebuilt.output).toBe(job.output)
    expect(worker.computed).toEqual(['known one'])
    await other.close()
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
    expect(worker.computed).toEqual(['new'])
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
    await site.queue.kill()
    const startedMs = performance.now()
    const response = await post({ model, input: 'nobody knows this' })
    expect(performance.now() - startedMs).toBeLessThan(5000)
    expect([response.status, (await bodyOf(response)).code]).toEqual([503, 'queue_unavailable'])
    expect(response.headers.get('retry-after')).toBe('1')
    expect((await call('/v1/jobs/01890000-0000-7000-8000-000000000000')).status).toBe(503)
    expect((await call('/readyz')).status).toBe(503)
    expect((await call('/livez')).status).toBe(200)
    await site.queue.restart()
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
    site.queue.pause()
    try {
      const response = await post({ model, input: 'nobody knows that' })
      expect(response.status).toBe(503)
      expect((await call('/readyz')).status).toBe(503)
    } finally {
      site.queue.resume()
    }
    await eventually(async () => (await call('/readyz')).status === 200, { timeoutMs: 15_000 })
  })

  test('the cache Redis: everything is a miss and is accepted all the same', async () => {
    await site.cacheServer.kill()
    const response = await post({ model, input: 'without a cache' })
    expect(response.status).toBe(202)
    expect(await bodyOf(await call('/readyz'))).toMatchObject({ ready: true, cache_redis: false })
    await site.cacheServer.restart()
    await eventually(async () => (await bodyOf(await call('/readyz'))).cache_redis === true)
  })

  test('both at the start: it listens, says that it is not ready, and recovers by itself', async () => {
    await Promise.all([site.queue.kill(), site.cacheServer.kill()])
    const late = await site.another()
    expect((await call('/livez', {}, late)).status).toBe(200)
    expect((await call('/readyz', {}, late)).status).toBe(503)
    await Promise.all([site.queue.restart(), site.cacheServer.restart()])
    await eventually(async () => (await call('/readyz', {}, late)).status === 200, { timeoutMs: 15_000 })
    await late.close()
  })
})

test('a gateway that stops answers its open waits with the job as it is, and closes twice alike', async () => {
  const stopping = await site.another()
  const client = site.queue.client()
  const waiting = () => client.llen(`{mr:${model}}:chunks:wait`)
  const before = await waiting()
  const open = post({ model, input: 'still waiting' }, { prefer: 'wait=30' }, stopping)
  await eventually(async () => (await waiting()) === before + 1)
  await Promise.all([stopping.close(), stopping.close()])
  const response = await open
  expect([response.status, (await bodyOf(response)).status]).toEqual([202, 'queued'])
  await expect(fetch(`${stopping.url}/livez`)).rejects.toThrow()
})
