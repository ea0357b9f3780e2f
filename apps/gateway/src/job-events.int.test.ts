/** A job followed as server-sent events, through two gateways. */
import { jobSchema, problemSchema } from '@millrace/contracts'
import { SettledChannel } from '@millrace/jobs'
import { eventually } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { FakeWorker, rememberResults } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import { EventStream, type ReadEvent } from './read-event-stream.js'
import type { Gateway } from './start-gateway.js'

let site: GatewayUnderTest
let other: Gateway
let worker: FakeWorker

beforeAll(async () => {
  site = await GatewayUnderTest.start({ CHUNK_ITEMS: '1' })
  other = await site.another()
  worker = await FakeWorker.start(site.queue.url)
})
beforeEach(() => worker.reset())
afterEach(() => vi.restoreAllMocks())
afterAll(async () => {
  await worker?.stop()
  await site?.stop()
})

const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))
const submit = async (more: object) => jobOf(await site.post({ model, ...more }))
const read = async (id: string) => jobOf(await site.call(`/v1/jobs/${id}`))
const follow = async (id: string, at?: Gateway, lastId?: string) => {
  const headers: Record<string, string> = lastId === undefined ? {} : { 'last-event-id': lastId }
  return new EventStream(await site.call(`/v1/jobs/${id}/events`, { headers }, at))
}
const typesOf = (events: readonly ReadEvent[]) => events.map(({ type }) => type)
const idsOf = (events: readonly ReadEvent[]) => events.map(({ id }) => id)
/** The run first, then the place in it. */
const numberOf = (id: string) => Number(id.split('-')[0]) * 1e9 + Number(id.split('-')[1])

/** Lets chunks be stored one at a time, each when it is asked for. */
function oneByOne() {
  const held: (() => void)[] = []
  worker.beforeStore = () => new Promise((resolve) => void held.push(resolve))
  return async () => (await eventually(() => held.shift()))()
}

test('all that happens comes in its order, each under a higher id; the last event is the job itself', async () => {
  const storeOne = oneByOne()
  const letGo = worker.hold()
  const { id } = await submit({ inputs: ['a', 'bb', 'ccc'] })
  const stream = await follow(id, other)
  expect(stream.response.status).toBe(200)
  const { headers } = stream.response
  expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect([headers.get('cache-control'), headers.get('x-job-id')]).toEqual(['no-store', id])
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  expect(await stream.next()).toEqual({
    id: '0-0',
    type: 'queued',
    data: { position: expect.any(Number), eta_ms: null, workers: expect.any(Number) },
  })
  letGo()
  const started = await stream.next()
  expect(started?.type).toBe('started')
  const { started_at } = await read(id)
  expect(started?.data).toEqual({ started_at })
  const events = [started]
  for (let done = 1; done <= 2; done++) {
    await storeOne()
    events.push(await stream.next())
    expect(events.at(-1)).toMatchObject({ type: 'progress', data: { done, total: 3 } })
  }
  await storeOne()
  const rest = await stream.rest()
  expect(typesOf(rest)).toEqual(['succeeded'])
  expect(rest[0]?.data).toEqual(await read(id))
  const ids = [...events, ...rest].map((event) => numberOf(event?.id ?? ''))
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b))
})

test('a stream cut in mid-job goes on at the other gateway after its last event, with no loss and no repeat', async () => {
  const storeOne = oneByOne()
  const { id } = await submit({ inputs: ['a', 'bb', 'ccc', 'dddd'] })
  const seen: ReadEvent[] = []
  let gateway = site.gateway
  for (let stored = 0; stored < 3; stored++) {
    const stream = await follow(id, gateway, seen.at(-1)?.id)
    await storeOne()
    seen.push(...(await stream.until('progress')))
    await stream.leave()
    gateway = gateway === other ? site.gateway : other
  }
  const last = await follow(id, gateway, seen.at(-1)?.id)
  await storeOne()
  seen.push(...(await last.rest()))
  const whole = await (await follow(id)).rest()
  expect(typesOf(seen)).toEqual(['queued', 'started', 'progress', 'progress', 'progress', 'succeeded'])
  expect(idsOf(seen)).toEqual(idsOf(whole))
  expect(seen.slice(1)).toEqual(whole.slice(1))
})

test('what happened while nobody listened is told to whoever comes later, from any event on', async () => {
  const { id } = await jobOf(await site.post({ model, inputs: ['a', 'b'] }, { prefer: 'wait=10' }))
  const whole = await (await follow(id, other)).rest()
  expect(typesOf(whole)).toEqual(['queued', 'started', 'progress', 'succeeded'])
  expect(whole[0]?.data).toEqual({ position: null, eta_ms: null, workers: expect.any(Number) })
  for (const [i, event] of whole.slice(0, -1).entries()) {
    expect(await (await follow(id, site.gateway, event.id)).rest()).toEqual(whole.slice(i + 1))
  }
})

test('after the last event there is nothing: 204, on which an EventSource stops asking', async () => {
  const { id } = await jobOf(await site.post({ model, input: 'a' }, { prefer: 'wait=10' }))
  const [last] = (await (await follow(id)).rest()).slice(-1)
  for (const lastId of [last?.id ?? '', '999999999-0']) {
    const headers = { 'last-event-id': lastId }
    const response = await site.call(`/v1/jobs/${id}/events`, { headers }, other)
    expect([response.status, await response.text()]).toEqual([204, ''])
  }
})

test('a Last-Event-ID of the future does not keep a stream open for ever', async () => {
  const letGo = worker.hold()
  const { id } = await submit({ input: 'a' })
  const stream = await follow(id, other, '999999999-0')
  letGo()
  expect(await stream.rest()).toEqual([])
})

describe('a submit that accepts text/event-stream', () => {
  const accept = 'text/event-stream'
  const send = async (body: object, headers: Record<string, string> = {}) =>
    new EventStream(await site.post({ model, ...body }, { accept, ...headers }, other))

  test('answers with the job’s stream, to its end', async () => {
    const stream = await send({ inputs: ['a', 'b'] })
    const id = stream.response.headers.get('x-job-id') ?? ''
    const events = await stream.rest()
    expect(typesOf(events)).toEqual(['queued', 'started', 'progress', 'succeeded'])
    expect(events.at(-1)?.data).toEqual(await read(id))
  })

  test('under a key, sent again, tells all of the first one’s job', async () => {
    const key = { 'idempotency-key': 'stream-1' }
    const [first, again] = [await send({ input: 'a' }, key), await send({ input: 'a' }, key)]
    const [events, same] = [await first.rest(), await again.rest()]
    expect(typesOf(events)).toEqual(['queued', 'started', 'succeeded'])
    expect(same.slice(1)).toEqual(events.slice(1))
  })

  test('whose inputs are all known is one event, and its job can be followed like any other', async () => {
    await rememberResults(site.cacheServer.url, ['known'])
    const stream = await send({ input: 'known' })
    const events = await stream.rest()
    expect(events).toMatchObject([{ id: '0-999999999', type: 'succeeded', data: { output: [5, 107] } }])
    const { id } = events[0]?.data ?? {}
    await eventually(async () => (await site.call(`/v1/jobs/${id}`)).status === 200)
    expect(await read(id)).toEqual(events[0]?.data)
    expect(await (await follow(id)).rest()).toEqual(events)
    const after = await site.call(`/v1/jobs/${id}/events`, { headers: { 'last-event-id': '0-999999999' } })
    expect(after.status).toBe(204)
  })

  test('that is refused is a problem, and no stream', async () => {
    const response = await site.post({ model, input: '' }, { accept }, other)
    expect([response.status, response.headers.get('content-type')]).toEqual([422, 'application/problem+json'])
    expect(problemSchema.parse(await bodyOf(response)).code).toBe('empty_input')
  })
})

describe('every way to end', () => {
  test('a cancel is told to all who follow, at once', async () => {
    worker.hold()
    const { id } = await submit({ input: 'cancel me' })
    const streams = [await follow(id), await follow(id, other), await follow(id, other)]
    const canceled = await jobOf(await site.call(`/v1/jobs/${id}/cancel`, { method: 'POST' }))
    const startedMs = performance.now()
    for (const stream of streams) {
      const events = await stream.rest()
      expect(typesOf(events)).toEqual(['queued', 'canceled'])
      expect(events.at(-1)?.data).toEqual(canceled)
    }
    expect(performance.now() - startedMs).toBeLessThan(1000)
  })

  test('a limit that passes while nobody is up ends the stream within a second', async () => {
    worker.hold()
    const startedMs = performance.now()
    const { id } = await submit({ input: 'late', start_timeout_ms: 500 })
    const events = await (await follow(id, other)).rest()
    expect(performance.now() - startedMs).toBeLessThan(1500)
    expect(typesOf(events)).toEqual(['queued', 'expired'])
    expect(events.at(-1)?.data).toMatchObject({ id, status: 'expired', error: { code: 'job_expired' } })
  })

  test('a job that fails says why', async () => {
    worker.fails = () => true
    const { id } = await submit({ input: 'a' })
    const events = await (await follow(id)).rest()
    expect(events.at(-1)).toMatchObject({ type: 'failed', data: { error: { code: 'inference_failed' } } })
  })

  test('a gateway that stops ends its streams, and they go on elsewhere', async () => {
    const letGo = worker.hold()
    const { id } = await submit({ input: 'a' })
    const stopping = await site.another()
    const stream = await follow(id, stopping)
    await stream.until('queued')
    const rest = stream.rest()
    await stopping.close()
    expect(await rest).toEqual([])
    const elsewhere = await follow(id, other, '0-0')
    letGo()
    expect(typesOf(await elsewhere.rest())).toEqual(['started', 'succeeded'])
  })
})

describe('what is no stream', () => {
  test.each(['nonsense', '01890000-0000-7000-8000-000000000000'])('%s names no job', async (id) => {
    const response = await site.call(`/v1/jobs/${id}/events`)
    expect([response.status, response.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
    expect(problemSchema.parse(await bodyOf(response)).code).toBe('job_not_found')
  })

  test.each(['nonsense', '1', '-1-0', '1-0 '.repeat(9), '9999999999-0'])(
    'Last-Event-ID %s is none',
    async (lastId) => {
      const { id } = await submit({ input: 'a' })
      const headers = { 'last-event-id': lastId }
      const response = await site.call(`/v1/jobs/${id}/events`, { headers })
      expect([response.status, problemSchema.parse(await bodyOf(response)).code]).toEqual([
        400,
        'invalid_request',
      ])
    },
  )
})

test('nothing is left behind by clients that go in the middle: no channel, no wait, no connection', async () => {
  const waitFor = vi.spyOn(SettledChannel.prototype, 'waitFor')
  const letGo = worker.hold()
  const { id } = await submit({ input: 'a' })
  const streams = await Promise.all(
    Array.from({ length: 40 }, (_, i) => follow(id, i % 2 ? other : undefined)),
  )
  const leaving = new AbortController()
  const waits = Array.from({ length: 40 }, (_, i) => {
    const init = { signal: leaving.signal }
    const gateway = i % 2 ? other : site.gateway
    return site.call(`/v1/jobs/${id}?wait=30`, init, gateway).catch((error: Error) => error.name)
  })
  const repeats = Array.from({ length: 10 }, (_, i) => {
    const headers = { 'idempotency-key': 'leaving', prefer: 'wait=30', 'content-type': 'application/json' }
    const body = JSON.stringify({ model, input: 'a' })
    const init = { method: 'POST', headers, body, signal: leaving.signal }
    return site.call('/v1/jobs', init, i % 2 ? other : site.gateway).catch((error: Error) => error.name)
  })
  const client = site.queue.client()
  const channels = async () => (await client.pubsub('CHANNELS', '*:events')) as string[]
  const open = () => {
    const gateways = new Set(waitFor.mock.contexts as SettledChannel[])
    return [...gateways].reduce((sum, { waiting }) => sum + waiting, 0)
  }
  await eventually(() => open() >= 50)
  expect(await channels()).toHaveLength(1)
  await Promise.all(streams.map((stream) => stream.leave()))
  leaving.abort()
  expect(new Set(await Promise.all([...waits, ...repeats]))).toEqual(new Set(['AbortError']))
  await eventually(async () => (await channels()).length === 0 && open() === 0, { timeoutMs: 2000 })
  letGo()
})
