/** Requests that are sent again: by an Idempotency-Key, or by PUT under an id of the client's. Always two gateways. */
import { randomUUID } from 'node:crypto'
import { jobListSchema, jobSchema, problemSchema } from '@millrace/contracts'
import { JobStore } from '@millrace/jobs'
import { TenantStore } from '@millrace/tenants'
import { eventually } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeWorker, rememberResults } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import type { Gateway } from './start-gateway.js'

let site: GatewayUnderTest
let other: Gateway
let worker: FakeWorker | undefined

beforeAll(async () => {
  site = await GatewayUnderTest.start({ CHUNK_ITEMS: '1' })
  other = await site.another()
})
afterEach(async () => {
  await worker?.stop()
  worker = undefined
})
afterAll(() => site?.stop())

const gatewayOf = (i: number): Gateway => (i % 2 === 0 ? site.gateway : other)
const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))
const chunksOf = async (id: string) =>
  (await site.waitingChunks()).filter((chunk) => chunk.startsWith(id)).sort()
const withKey = (key: string, body: object, at?: Gateway, more: Record<string, string> = {}) =>
  site.post(body, { 'idempotency-key': key, ...more }, at)
const put = (id: string, body: object, at = site.gateway, more: Record<string, string> = {}) => {
  const headers = { 'content-type': 'application/json', ...more }
  return site.call(`/v1/jobs/${id}`, { method: 'PUT', headers, body: JSON.stringify(body) }, at)
}
const listed = async (more: Record<string, string> = {}, at?: Gateway) => {
  const response = await site.call('/v1/jobs?limit=100', { headers: more }, at)
  return jobListSchema.parse(await bodyOf(response)).data.map(({ id }) => id)
}
/** Everything the queue Redis holds of a job. */
async function everythingOf(id: string): Promise<unknown> {
  const client = site.queue.client()
  const keys = (await client.keys(`*${id}*`)).sort()
  const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)))
  return keys.map((key, i) => [key, dumps[i]?.toString('base64')])
}

const sent: [string, typeof withKey][] = [
  ['POST with an Idempotency-Key', withKey],
  ['PUT', put],
]

describe.each(sent)('%s', (_name, send) => {
  test('twenty at the same moment at two gateways make one job, listed once, with one set of chunks', async () => {
    const key = randomUUID()
    const body = { model, inputs: ['a', 'b', 'c'] }
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => send(key, body, gatewayOf(i))))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]))
    const jobs = await Promise.all(answers.map(jobOf))
    const [id = ''] = new Set(jobs.map((job) => job.id))
    for (const job of jobs) expect(job).toMatchObject({ id, status: 'queued' })
    expect(await chunksOf(id)).toEqual([`${id}-0`, `${id}-1`, `${id}-2`])
    expect((await listed()).filter((one) => one === id)).toHaveLength(1)
    worker = await FakeWorker.start(site.queue.url)
    const done = await jobOf(await send(key, body, other))
    const settled =
      done.status === 'succeeded' ? done : await jobOf(await site.call(`/v1/jobs/${id}?wait=10`))
    expect(settled).toMatchObject({ id, status: 'succeeded' })
    expect(worker.computed.sort()).toEqual(['a', 'b', 'c'])
    const again = await send(key, body)
    expect([again.status, await jobOf(again)]).toEqual([200, settled])
    expect(worker.computed).toHaveLength(3)
  })

  test('of two bodies at the same moment one makes the job; the other is refused and leaves no trace', async () => {
    const key = randomUUID()
    const bodies = [
      { model, inputs: ['one', 'two', 'three'] },
      { model, inputs: ['four'] },
    ]
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => send(key, bodies[i % 2] ?? {}, gatewayOf(i >> 1))),
    )
    const statuses = answers.map(({ status }) => status)
    const winner = statuses.indexOf(202) % 2
    expect(statuses).toEqual(statuses.map((_, i) => (i % 2 === winner ? 202 : 422)))
    const [id = ''] = await Promise.all(
      answers.filter(({ status }) => status === 202).map(async (answer) => (await jobOf(answer)).id),
    )
    const inputs = bodies[winner]?.inputs ?? []
    expect(await chunksOf(id)).toEqual(inputs.map((_, i) => `${id}-${i}`))
    expect((await listed()).filter((one) => one === id)).toHaveLength(1)
    worker = await FakeWorker.start(site.queue.url)
    const job = await jobOf(await site.call(`/v1/jobs/${id}?wait=10`))
    expect(job).toMatchObject({
      status: 'succeeded',
      progress: { done: inputs.length, total: inputs.length },
    })
    expect(job.output).toEqual(inputs.map((input) => [input.length, input.charCodeAt(0)]))
  })

  test('another body later is 422, and nothing is changed', async () => {
    const key = randomUUID()
    const { id } = await jobOf(await send(key, { model, input: 'first' }))
    const before = await everythingOf(id)
    for (const body of [
      { model, input: 'second' },
      { model, input: 'first', priority: 1 },
      { input: 'first', model },
    ]) {
      const refused = await send(key, body, other)
      const problem = problemSchema.parse(await bodyOf(refused))
      expect([refused.status, problem.code]).toEqual([422, 'idempotency_mismatch'])
    }
    expect(await everythingOf(id)).toEqual(before)
    expect(await chunksOf(id)).toEqual([`${id}-0`])
  })

  test('what a gateway left between record and queue is completed by the repeat', async () => {
    const key = randomUUID()
    const body = { model, inputs: ['left', 'behind'] }
    const { id } = await jobOf(await send(key, body))
    const client = site.queue.client()
    // As if it had died right after the record: the record is there, its chunks are not.
    const store = await JobStore.connect({ url: site.queue.url, role: 'worker' })
    const job = await store.read(id)
    if (job?.kind !== 'stored') throw new Error('no record')
    await client.del(...(await client.keys(`*${id}*`)), `{mr:${model}}:chunks:wait`)
    const chunks = body.inputs.map((input, slot) => [{ slot, input }])
    expect(await store.create({ ...job, known: new Map(), chunks })).toBe(true)
    await store.close()
    expect(await chunksOf(id)).toEqual([])
    worker = await FakeWorker.start(site.queue.url)
    const answers = await Promise.all([0, 1, 2, 3].map((i) => send(key, body, gatewayOf(i))))
    for (const answer of answers) expect((await jobOf(answer)).id).toBe(id)
    expect(await jobOf(await site.call(`/v1/jobs/${id}?wait=10`))).toMatchObject({
      status: 'succeeded',
      output: [
        [4, 108],
        [6, 98],
      ],
    })
    expect(worker.computed.sort()).toEqual(['behind', 'left'])
  })

  test('waits like the first one', async () => {
    const key = randomUUID()
    const body = { model, input: 'wait for me' }
    const { id } = await jobOf(await send(key, body))
    const waiting = send(key, body, other, { prefer: 'wait=10' })
    worker = await FakeWorker.start(site.queue.url)
    const answer = await waiting
    expect([answer.status, answer.headers.get('preference-applied')]).toEqual([200, 'wait=10'])
    expect(await jobOf(answer)).toMatchObject({ id, status: 'succeeded', output: [11, 119] })
  })

  test('of a request whose inputs are all known answers with the same job, which has a record', async () => {
    worker = await FakeWorker.start(site.queue.url)
    const input = `known ${randomUUID()}`
    await rememberResults(site.cacheServer.url, [input])
    const key = randomUUID()
    const first = await send(key, { model, input })
    const job = await jobOf(first)
    expect([first.status, job.status]).toEqual([200, 'succeeded'])
    const again = await send(key, { model, input }, other)
    expect([again.status, await jobOf(again)]).toEqual([200, job])
    expect(await jobOf(await site.call(`/v1/jobs/${job.id}`, {}, other))).toEqual(job)
    expect(worker.computed).toEqual([])
  })

  test('of a job that is settled answers with it, however it was settled', async () => {
    const key = randomUUID()
    const { id } = await jobOf(await send(key, { model, input: 'a' }))
    await site.call(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    const again = await send(key, { model, input: 'a' }, other)
    expect([again.status, (await jobOf(again)).status]).toEqual([200, 'canceled'])
    expect(await chunksOf(id)).toEqual([])
  })

  test('of a job whose time is over is 410', async () => {
    const key = randomUUID()
    const { id } = await jobOf(await send(key, { model, input: 'a' }))
    await site.call(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    const later = await site.another({}, { now: () => Date.now() + 3_601_000 })
    const gone = await send(key, { model, input: 'a' }, later)
    expect([gone.status, problemSchema.parse(await bodyOf(gone)).code]).toEqual([410, 'job_gone'])
    await later.close()
  })
})

describe('an Idempotency-Key', () => {
  test.each(['a b', 'ü', 'x'.repeat(256), 'tab\there'])(
    '%s is refused, and nothing is stored',
    async (key) => {
      const before = (await site.queue.client().keys('mr:*:record')).length
      const response = await withKey(Buffer.from(key).toString('latin1'), { model, input: 'a' })
      expect([response.status, problemSchema.parse(await bodyOf(response)).code]).toEqual([
        400,
        'invalid_request',
      ])
      expect((await site.queue.client().keys('mr:*:record')).length).toBe(before)
    },
  )

  test.each(['x', 'x'.repeat(255), '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '!~'])(
    '%s is one',
    async (key) => {
      expect((await withKey(key, { model, input: 'a' })).status).toBe(202)
    },
  )

  test('makes a UUID of version 8', async () => {
    const { id } = await jobOf(await withKey(randomUUID(), { model, input: 'a' }))
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  test('cannot be taken by PUT, under the id that it would have', async () => {
    const key = 'order-1'
    const { id } = await jobOf(await withKey(key, { model, input: 'a' }))
    for (const taken of [id, id.toUpperCase()]) {
      const problem = problemSchema.parse(await bodyOf(await put(taken, { model, input: 'b' }, other)))
      expect(problem).toMatchObject({ status: 400, errors: [{ path: 'id' }] })
    }
  })
})

describe('PUT', () => {
  test('makes the job under the client’s id, in either case', async () => {
    const id = randomUUID()
    const first = await put(id.toUpperCase(), { model, input: 'mine' })
    expect([first.status, first.headers.get('location')]).toEqual([202, `/v1/jobs/${id}`])
    expect(await jobOf(await put(id, { model, input: 'mine' }, other))).toMatchObject({ id })
  })

  test('under the id of a job that was answered at once is refused', async () => {
    worker = await FakeWorker.start(site.queue.url)
    const input = `known ${randomUUID()}`
    await rememberResults(site.cacheServer.url, [input])
    const job = await jobOf(await site.post({ model, input }))
    await eventually(async () => (await site.call(`/v1/jobs/${job.id}`)).status === 200)
    expect((await put(job.id, { model, input })).status).toBe(422)
    expect(await jobOf(await site.call(`/v1/jobs/${job.id}`))).toEqual(job)
  })
})

/** Last: from here on a key is needed. */
describe('two tenants', () => {
  let tenants: TenantStore
  let first: Gateway
  let second: Gateway
  const headersOf: Record<string, Record<string, string>> = {}

  beforeAll(async () => {
    tenants = await TenantStore.connect({ url: site.queue.url, role: 'cli' })
    for (const tenant of ['a', 'b']) {
      const { key } = await tenants.create({ tenant, name: 'test', scopes: ['submit', 'read'] })
      headersOf[tenant] = { authorization: `Bearer ${key}` }
    }
    // Those that run learn of the first key only after a while.
    ;[first, second] = [await site.another(), await site.another()]
  })
  afterAll(() => tenants?.close())

  test('may use the same key: it makes two jobs, each one’s own', async () => {
    const key = randomUUID()
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (tenant) =>
        jobOf(await withKey(key, { model, input: tenant }, second, headersOf[tenant])),
      ),
    )
    expect(a?.id).not.toBe(b?.id)
    expect(await listed(headersOf.a, first)).toContain(a?.id)
    expect(await listed(headersOf.a, first)).not.toContain(b?.id)
    const again = await withKey(key, { model, input: 'a' }, first, headersOf.a)
    expect((await jobOf(again)).id).toBe(a?.id)
  })

  test('cannot tell by PUT more of each other’s job than that the id is taken', async () => {
    const id = randomUUID()
    await put(id, { model, input: 'of a' }, first, headersOf.a)
    const before = await everythingOf(id)
    const words = []
    for (const input of ['of a', 'of b']) {
      const refused = await put(id, { model, input }, second, headersOf.b)
      const { request_id: _, ...problem } = problemSchema.parse(await bodyOf(refused))
      words.push(problem)
    }
    const own = await put(id, { model, input: 'of b' }, second, headersOf.a)
    const { request_id: _, ...problem } = problemSchema.parse(await bodyOf(own))
    expect(problem).toMatchObject({ status: 422, code: 'idempotency_mismatch' })
    expect(words).toEqual([problem, problem])
    expect(await everythingOf(id)).toEqual(before)
    expect((await site.call(`/v1/jobs/${id}`, { headers: headersOf.b ?? {} }, first)).status).toBe(404)
  })
})
