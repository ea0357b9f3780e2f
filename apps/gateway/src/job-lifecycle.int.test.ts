/** What an owner can do with a job, and what becomes of it by itself: always through two gateways. */
import { type Job, jobListSchema, jobSchema, problemSchema } from '@millrace/contracts'
import { JobStore } from '@millrace/jobs'
import { eventually } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeWorker } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import { newJobId } from './job-id.js'
import type { Gateway } from './start-gateway.js'

let site: GatewayUnderTest
let other: Gateway
let worker: FakeWorker | undefined

beforeAll(async () => {
  site = await GatewayUnderTest.start({ CHUNK_ITEMS: '2' })
  other = await site.another()
})
afterEach(async () => {
  await worker?.stop()
  worker = undefined
})
afterAll(() => site?.stop())

const call: GatewayUnderTest['call'] = (...args) => site.call(...args)
const post: GatewayUnderTest['post'] = (...args) => site.post(...args)
const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))
const act = async (verb: string, id: string, at?: Gateway) =>
  call(`/v1/jobs/${id}/${verb}`, { method: 'POST' }, at)
const codeOf = async (response: Response) => [
  response.status,
  problemSchema.parse(await bodyOf(response)).code,
]
const read = async (id: string, at?: Gateway) => jobOf(await call(`/v1/jobs/${id}`, {}, at))
const startWorker = async () => {
  worker = await FakeWorker.start(site.queue.url)
  return worker
}

/** Resolves when the worker has ended the job's first chunk, whatever it made of it. */
const inNoHand = (id: string) =>
  eventually(async () => {
    const active = await site.queue.client().lrange(`{mr:${model}}:chunks:active`, 0, -1)
    return !active.includes(`${id}-0`)
  })

/** A submit whose answer is waited for at the other gateway: it listens before the job has a record. */
async function waitedFor(more: object): Promise<{ id: string; answer: Promise<Response> }> {
  const mark = newJobId()
  const body = { model, input: 'a', ...more, metadata: { mark } }
  const answer = post(body, { prefer: 'wait=20' }, other)
  const id = await eventually(async () => {
    const { data } = jobListSchema.parse(await bodyOf(await call('/v1/jobs')))
    return data.find(({ metadata }) => metadata.mark === mark)?.id
  })
  return { id, answer }
}

describe('cancel', () => {
  test('a queued job leaves the queue, and who waits for it at the other gateway is answered at once', async () => {
    const { id, answer } = await waitedFor({ input: undefined, inputs: ['a', 'b', 'c'] })
    expect((await site.waitingChunks()).filter((chunk) => chunk.startsWith(id))).toHaveLength(2)
    const response = await act('cancel', id)
    const startedMs = performance.now()
    expect(response.status).toBe(200)
    const job = await jobOf(response)
    expect(job).toMatchObject({ id, status: 'canceled', output: null, error: { code: 'job_canceled' } })
    const waited = await answer
    expect(performance.now() - startedMs).toBeLessThan(1000)
    expect([waited.status, await jobOf(waited)]).toEqual([200, job])
    expect((await site.waitingChunks()).filter((chunk) => chunk.startsWith(id))).toEqual([])
  })

  test('twice is fine and answers the same', async () => {
    const { id } = await jobOf(await post({ model, input: 'a' }))
    const first = await jobOf(await act('cancel', id))
    const second = await act('cancel', id, other)
    expect([second.status, await jobOf(second)]).toEqual([200, first])
    expect(await read(id, other)).toEqual(first)
  })

  test('a job in work stays canceled, whatever its worker still brings', async () => {
    const letGo = (await startWorker()).hold('beforeStore')
    const { id } = await jobOf(await post({ model, input: 'in work' }))
    await eventually(async () => (await read(id)).status === 'processing')
    const canceled = await jobOf(await act('cancel', id, other))
    letGo()
    await eventually(() => worker?.computed.includes('in work'))
    await inNoHand(id)
    expect(await read(id)).toEqual(canceled)
  })

  test('a settled job stays as it is: 409', async () => {
    await startWorker()
    const done = await jobOf(await post({ model, input: 'settled' }, { prefer: 'wait=10' }))
    expect(done.status).toBe('succeeded')
    expect(await codeOf(await act('cancel', done.id))).toEqual([409, 'job_settled'])
    expect(await read(done.id)).toEqual(done)
  })
})

describe('retry', () => {
  beforeEach(startWorker)

  async function failed(input: string): Promise<Job> {
    if (worker) worker.fails = () => true
    const job = await jobOf(await post({ model, input }, { prefer: 'wait=10' }))
    expect(job).toMatchObject({ status: 'failed', error: { code: 'inference_failed' } })
    return job
  }

  test('a failed job is queued again under its id; readers, waiters and followers see the new run', async () => {
    const { id } = await failed('again')
    worker?.reset()
    const letGo = worker?.hold()
    const response = await act('retry', id)
    expect([response.status, response.headers.get('location')]).toEqual([202, `/v1/jobs/${id}`])
    expect(await jobOf(response)).toMatchObject({ id, status: 'queued', error: null, completed_at: null })
    expect(await read(id, other)).toMatchObject({ id, status: 'queued', error: null, output: null })
    const waited = call(`/v1/jobs/${id}?wait=10`, {}, other)
    const events = await call(`/v1/jobs/${id}/events`, {}, other)
    letGo?.()
    const job = await jobOf(await waited)
    expect(job).toMatchObject({ id, status: 'succeeded', output: [5, 97], error: null, attempts: 1 })
    const told = (await events.text()).match(/^event: .*/gm)
    expect(told).toEqual(['event: queued', 'event: started', 'event: succeeded'])
  })

  test('of a job that failed in part nothing is computed twice', async () => {
    const held = worker
    if (!held) throw new Error('no worker')
    let letGo = () => {}
    const stuck = new Promise<void>((resolve) => {
      letGo = resolve
    })
    held.beforeTake = async ({ chunk }) => (chunk === 1 ? stuck : undefined)
    const more = { inputs: ['a', 'b', 'c'], timeout_ms: 1500 }
    const job = await jobOf(await post({ model, ...more }, { prefer: 'wait=10' }))
    expect(job).toMatchObject({ status: 'expired', progress: { done: 2, total: 3 }, output: null })
    expect(held.computed).toEqual(['a', 'b'])
    expect((await act('retry', job.id)).status).toBe(202)
    letGo()
    expect(await jobOf(await call(`/v1/jobs/${job.id}?wait=10`, {}, other))).toMatchObject({
      status: 'succeeded',
      output: [
        [1, 97],
        [1, 98],
        [1, 99],
      ],
    })
    expect(held.computed).toEqual(['a', 'b', 'c'])
  })

  test('asked for again while the job waits is the same run, and is computed once', async () => {
    const { id } = await failed('twice')
    worker?.reset()
    const letGo = worker?.hold()
    const answers = await Promise.all([act('retry', id), act('retry', id, other), act('retry', id)])
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202])
    letGo?.()
    expect(await jobOf(await call(`/v1/jobs/${id}?wait=10`))).toMatchObject({
      status: 'succeeded',
      attempts: 1,
    })
    expect(worker?.computed).toEqual(['twice'])
  })

  test('goes on when it is asked for again, where a gateway died between its record and the queue', async () => {
    const { id } = await failed('half')
    worker?.reset()
    const store = await JobStore.connect({ url: site.queue.url, role: 'gateway' })
    const job = await store.read(id)
    if (job?.kind !== 'stored') throw new Error('no record')
    expect(await store.retry(job, Date.now())).toMatchObject({ state: 'queued' })
    await store.close()
    expect((await act('retry', id)).status).toBe(202)
    expect(await jobOf(await call(`/v1/jobs/${id}?wait=10`))).toMatchObject({ status: 'succeeded' })
  })

  test.each(['queued', 'succeeded', 'canceled'] as const)('a job that is %s is not: 409', async (status) => {
    const letGo = status === 'succeeded' ? undefined : worker?.hold()
    const job = await jobOf(await post({ model, input: status }, { prefer: letGo ? '' : 'wait=10' }))
    if (status === 'canceled') await act('cancel', job.id)
    const before = await read(job.id)
    expect(before.status).toBe(status)
    expect(await codeOf(await act('retry', job.id, other))).toEqual([409, 'job_not_retryable'])
    expect(await read(job.id)).toMatchObject({ ...before, queue: before.queue && expect.anything() })
    letGo?.()
  })
})

describe('limits of time', () => {
  test('a job that no worker takes in time expires while nobody is up, and all who wait are told', async () => {
    const startedMs = performance.now()
    const { id, answer } = await waitedFor({ start_timeout_ms: 700 })
    const alsoWaiting = call(`/v1/jobs/${id}?wait=20`)
    const [first, second] = [await answer, await alsoWaiting]
    const tookMs = performance.now() - startedMs
    const job = await jobOf(first)
    expect(job).toMatchObject({ status: 'expired', output: null, error: { code: 'job_expired' } })
    expect(await jobOf(second)).toEqual(job)
    expect(tookMs).toBeGreaterThan(700)
    expect(tookMs).toBeLessThan(1700)
    expect((await site.waitingChunks()).filter((chunk) => chunk.startsWith(id))).toEqual([])
  })

  test('a job that is taken in time but not settled in time expires in work, and stays so', async () => {
    const letGo = (await startWorker()).hold('beforeStore')
    const startedMs = performance.now()
    const { id, answer } = await waitedFor({ input: 'too slow', timeout_ms: 700, start_timeout_ms: 600 })
    const job = await jobOf(await answer)
    expect(performance.now() - startedMs).toBeLessThan(1700)
    expect(job).toMatchObject({ id, status: 'expired', error: { code: 'job_expired' } })
    expect(job.started_at).not.toBeNull()
    letGo()
    await eventually(() => worker?.computed.includes('too slow'))
    await inNoHand(id)
    expect(await read(id)).toEqual(job)
  })

  test('an expired job can be tried again, with its limits anew', async () => {
    const limited = { model, input: 'late', start_timeout_ms: 1000 }
    const late = await jobOf(await post(limited, { prefer: 'wait=10' }))
    expect(late.status).toBe('expired')
    await startWorker()
    await act('retry', late.id, other)
    const job = await jobOf(await call(`/v1/jobs/${late.id}?wait=10`))
    expect(job).toMatchObject({ status: 'succeeded', output: [4, 108], error: null })
  })

  test.each([
    ['timeout_ms', 0],
    ['timeout_ms', 1.5],
    ['timeout_ms', 7 * 86_400_000 + 1],
    ['start_timeout_ms', -1],
    ['start_timeout_ms', '100'],
  ])('%s: %s is refused', async (field, value) => {
    const response = await post({ model, input: 'a', [field]: value })
    const problem = problemSchema.parse(await bodyOf(response))
    expect([response.status, problem.errors[0]?.path]).toEqual([400, field])
  })
})

describe('priority', () => {
  test('0 goes first, 9 last', async () => {
    const letters = ['nine', 'five', 'none', 'one']
    const priorities = [9, 5, 0, 1]
    for (const [i, input] of letters.entries()) {
      const job = await jobOf(await post({ model, input, priority: priorities[i] }))
      expect(job.priority).toBe(priorities[i])
    }
    await startWorker()
    await eventually(() => worker?.computed.includes('nine'))
    const order = worker?.computed.filter((input) => letters.includes(input))
    expect(order).toEqual(['none', 'one', 'five', 'nine'])
  })

  test.each([-1, 10, 1.5, '1', null])('%s is none', async (priority) => {
    const response = await post({ model, input: 'a', priority })
    expect(problemSchema.parse(await bodyOf(response))).toMatchObject({
      code: 'invalid_request',
      errors: [{ path: 'priority' }],
    })
  })
})

describe('metadata', () => {
  const sixteen = (value = 'v') => Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, value]))

  test('as large as it may be comes back with the job, wherever the job is shown', async () => {
    const metadata = { ...sixteen('ü'.repeat(512)), k0: '', ['x'.repeat(64)]: '1' }
    delete metadata.k1
    const job = await jobOf(await post({ model, input: 'a', metadata }))
    expect(job.metadata).toEqual(metadata)
    expect((await read(job.id, other)).metadata).toEqual(metadata)
    const { data } = jobListSchema.parse(await bodyOf(await call('/v1/jobs?limit=1', {}, other)))
    expect(data[0]?.metadata).toEqual(metadata)
  })

  test.each<[string, unknown, string]>([
    ['17 entries', { ...sixteen(), one: 'more' }, 'metadata'],
    ['too long a key', { ['x'.repeat(65)]: '1' }, `metadata.${'x'.repeat(65)}`],
    ['an empty key', { '': '1' }, 'metadata.'],
    ['too long a value', { k: 'x'.repeat(513) }, 'metadata.k'],
    ['a number', { k: 1 }, 'metadata.k'],
    ['an array', ['v'], 'metadata'],
  ])('with %s is refused', async (_name, metadata, path) => {
    const problem = problemSchema.parse(await bodyOf(await post({ model, input: 'a', metadata })))
    expect(problem).toMatchObject({ code: 'invalid_request', errors: [{ path }] })
  })
})

describe('how long a job can be read', () => {
  test('410 once its time is over, and 404 once its record is gone too', async () => {
    await startWorker()
    const job = await jobOf(await post({ model, input: 'kept' }, { prefer: 'wait=10' }))
    const expiresAtMs = Date.parse(job.expires_at)
    let nowMs = expiresAtMs
    const later = await site.another({}, { now: () => nowMs })
    expect(await read(job.id, later)).toEqual(job)
    nowMs = expiresAtMs + 1
    for (const path of ['', '?wait=5', '/events']) {
      expect(await codeOf(await call(`/v1/jobs/${job.id}${path}`, {}, later))).toEqual([410, 'job_gone'])
    }
    for (const verb of ['cancel', 'retry', 'webhook/redeliver']) {
      expect(await codeOf(await act(verb, job.id, later))).toEqual([410, 'job_gone'])
    }
    const client = site.queue.client()
    const [record, outputs] = [`mr:{${job.id}}:record`, `mr:{${job.id}}:out`]
    const [recordMs, outputsMs] = await Promise.all([client.pttl(record), client.pttl(outputs)])
    expect(outputsMs).toBeGreaterThan(3_500_000)
    expect(recordMs).toBeGreaterThan(outputsMs + 3_500_000)
    await client.pexpire(record, 1)
    await eventually(async () => (await client.exists(record)) === 0)
    expect(await codeOf(await call(`/v1/jobs/${job.id}`, {}, later))).toEqual([404, 'job_not_found'])
    await later.close()
  })

  test('a job that waits is not gone, however late: it expires', async () => {
    const { id, expires_at } = await jobOf(await post({ model, input: 'waits' }))
    const later = await site.another({}, { now: () => Date.parse(expires_at) - 1 })
    expect(await read(id, later)).toMatchObject({ id, status: 'expired' })
    await later.close()
  })
})

describe('an id', () => {
  test('that is no UUID names no job; to make one it is refused', async () => {
    for (const id of [
      'nonsense',
      '0190b0e0-0000-7000-8000-00000000000',
      '0190b0e0000070008000000000000000',
    ]) {
      expect(await codeOf(await call(`/v1/jobs/${id}`))).toEqual([404, 'job_not_found'])
      for (const verb of ['cancel', 'retry', 'webhook/redeliver']) {
        expect(await codeOf(await act(verb, id))).toEqual([404, 'job_not_found'])
      }
      expect(await codeOf(await call(`/v1/jobs/${id}/events`))).toEqual([404, 'job_not_found'])
      const headers = { 'content-type': 'application/json' }
      const body = JSON.stringify({ model, input: 'a' })
      const put = await call(`/v1/jobs/${id}`, { method: 'PUT', headers, body })
      expect(problemSchema.parse(await bodyOf(put))).toMatchObject({
        code: 'invalid_request',
        errors: [{ path: 'id' }],
      })
    }
  })

  test('is the same in either case', async () => {
    const job = await jobOf(await post({ model, input: 'a' }))
    expect(await read(job.id.toUpperCase(), other)).toMatchObject({ id: job.id })
    expect(await jobOf(await act('cancel', job.id.toUpperCase()))).toMatchObject({ status: 'canceled' })
  })
})
