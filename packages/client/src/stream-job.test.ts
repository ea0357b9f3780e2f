import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Millrace } from './millrace.js'
import {
  cut,
  events,
  job,
  jobId,
  json,
  problem,
  QuickClock,
  type StandIn,
  sse,
  standIn,
} from './stand-in/server.js'
import type { StreamedEvent } from './stream-job.js'

let server: StandIn
let clock: QuickClock
let client: Millrace
beforeEach(async () => {
  server = await standIn()
  clock = new QuickClock()
  client = new Millrace({ baseUrl: server.url, apiKey: 'key', clock })
})
afterEach(() => server.close())

const queued = sse(1, 'queued', { position: 3, eta_ms: null, workers: 1 })
const started = sse(2, 'started', { started_at: '2026-01-01T00:00:00.000Z' })
const progress = sse(3, 'progress', { done: 1, total: 2 })
const done = sse(4, 'succeeded', job('succeeded'))
const lastEventIds = () => server.asked.map(({ headers }) => headers['last-event-id'])

async function all(options: Parameters<Millrace['stream']>[1] = {}): Promise<StreamedEvent[]> {
  const seen: StreamedEvent[] = []
  for await (const event of client.stream(jobId, options)) seen.push(event)
  return seen
}
const types = async (options?: Parameters<Millrace['stream']>[1]) =>
  (await all(options)).map(({ type }) => type)

describe('the events of a job', () => {
  test('come in order, and end with the job', async () => {
    server.answer(events([queued, ': ping\n\n', started, progress, done]))
    const seen = await all()
    expect(seen.map(({ type, id }) => [type, id])).toEqual([
      ['queued', '1'],
      ['started', '2'],
      ['progress', '3'],
      ['succeeded', '4'],
    ])
    expect(seen.at(-1)?.data).toEqual(job('succeeded'))
    expect(server.asked[0]).toMatchObject({
      url: `/v1/jobs/${jobId}/events`,
      headers: { authorization: 'Bearer key' },
    })
  })

  test('go on where they were after the connection was lost', async () => {
    server.answer(events([queued, started], 'cut'), cut, events([progress], 'end'), events([done]))
    expect(await types()).toEqual(['queued', 'started', 'progress', 'succeeded'])
    expect(lastEventIds()).toEqual([undefined, '2', '2', '3'])
  })

  test('begin after the event that the caller names', async () => {
    server.answer(events([done]))
    expect(await types({ lastEventId: '3' })).toEqual(['succeeded'])
    expect(lastEventIds()).toEqual(['3'])
  })

  test('end with the terminal event even when the server holds the connection open', async () => {
    server.answer(events([done], 'open'))
    expect(await types()).toEqual(['succeeded'])
  })

  test('of a kind that this client does not know are passed over', async () => {
    server.answer(events([sse(1, 'pondering', {}), 'id: 2\ndata: {}\n\n'], 'cut'), events([done]))
    expect(await types()).toEqual(['succeeded'])
    expect(lastEventIds()).toEqual([undefined, '2'])
  })

  test('are waited for as a busy server says', async () => {
    server.answer(problem('queue_unavailable', { 'retry-after': '2' }), events([done]))
    expect(await types()).toEqual(['succeeded'])
    expect(clock.slept).toEqual([2100])
  })

  test('end in an error when the job is not there', async () => {
    server.answer(problem('job_not_found'))
    await expect(all()).rejects.toMatchObject({ code: 'job_not_found' })
    expect(server.asked).toHaveLength(1)
  })

  test('end in an error when no connection can be had for retryForMs', async () => {
    server.answer(cut)
    await expect(all()).rejects.toMatchObject({ name: 'MillraceConnectionError' })
    expect(clock.now()).toBeGreaterThan(50_000)
    expect(clock.now()).toBeLessThanOrEqual(60_000)
  })

  test('of a connection that lives on pings alone do not use that time up', async () => {
    const pinged = events([': ping\n\n'], 'cut')
    server.answer(...Array(60).fill(pinged), events([done]))
    expect(await types()).toEqual(['succeeded'])
  })

  test.each([
    ['data that is no JSON', 'event: progress\ndata: {\n\n'],
    ['a progress that is none', sse(1, 'progress', { done: 'much' })],
    ['another job', sse(1, 'succeeded', job('succeeded', { id: 'another' }))],
    ['an end that the job does not have', sse(1, 'failed', job('succeeded'))],
  ])('are refused with %s', async (_what, text) => {
    server.answer(events([text]))
    await expect(all()).rejects.toMatchObject({ code: 'unexpected_answer' })
  })

  test('are not read from what is no event stream', async () => {
    server.answer(json(200, job('succeeded')))
    await expect(all()).rejects.toMatchObject({ code: 'unexpected_answer' })
  })

  test('end at the limit', async () => {
    server.answer(events([queued], 'open'))
    await expect(all({ timeoutMs: 50 })).rejects.toMatchObject({ name: 'MillraceTimeoutError', jobId })
  })

  test('end with the reason of an abort', async () => {
    const controller = new AbortController()
    server.answer(events([queued], 'open'))
    const read = async () => {
      for await (const _ of client.stream(jobId, controller)) controller.abort(new Error('the user left'))
    }
    await expect(read()).rejects.toThrow('the user left')
  })

  test('close their connection when the loop is left', async () => {
    const closed = new Promise((resolve) => {
      server.answer((response) => {
        response.on('close', resolve)
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(queued)
      })
    })
    for await (const _ of client.stream(jobId)) break
    await closed
  })
})
