/** Webhooks as a gateway takes them: which addresses, what is queued, what is shown. Delivering is the courier's. */
import { type Delivery, jobSchema, problemSchema } from '@millrace/contracts'
import { DeliveryLog, webhookJobId } from '@millrace/jobs'
import { eventually } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FakeWorker, rememberResults } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'

let site: GatewayUnderTest
let worker: FakeWorker
const url = 'https://93.184.216.34/hook'

beforeAll(async () => {
  site = await GatewayUnderTest.start()
  worker = await FakeWorker.start(site.queue.url)
})
beforeEach(() => worker.reset())
afterAll(async () => {
  await worker?.stop()
  await site?.stop()
})

const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))
const codeOf = async (response: Response) => [
  response.status,
  problemSchema.parse(await bodyOf(response)).code,
]
const done = async (more: object) => jobOf(await site.post({ model, ...more }, { prefer: 'wait=10' }))
const act = (verb: string, id: string) => site.call(`/v1/jobs/${id}/${verb}`, { method: 'POST' })

/** What waits for the courier of this job. */
async function toldOf(id: string): Promise<string[]> {
  const waiting = await site.queue.client().lrange('{mr:webhooks}:webhooks:wait', 0, -1)
  return waiting.filter((one) => one.startsWith(id))
}

/** All that a refused request could have left. */
async function leftovers(): Promise<string[]> {
  const keys = await site.queue.client().keys('*')
  return keys.filter((key) => !key.includes('fleet') && !key.endsWith(':meta') && !key.includes(':stalled'))
}

describe('an address that may not be called', () => {
  test.each([
    'https://127.0.0.1/hook',
    'https://2130706433/hook',
    'https://localhost/hook',
    'https://10.1.2.3/hook',
    'https://169.254.169.254/latest/meta-data',
    'https://[::1]/hook',
    'https://[::ffff:127.0.0.1]/hook',
    'http://93.184.216.34/hook',
    'https://user:secret@93.184.216.34/hook',
  ])('%s is refused by its field, and nothing is stored, charged or queued', async (refused) => {
    const before = await leftovers()
    const response = await site.post({ model, input: 'a', webhook: { url: refused } })
    const problem = problemSchema.parse(await bodyOf(response))
    expect([response.status, problem.code, problem.errors[0]?.path]).toEqual([
      422,
      'webhook_refused',
      'webhook.url',
    ])
    expect(await leftovers()).toEqual(before)
    expect(worker.computed).toEqual([])
  })

  test('may be, where the gateway is told so', async () => {
    const more = { WEBHOOK_ALLOW_CIDRS: '127.0.0.0/8', WEBHOOK_ALLOW_HTTP: 'true' }
    const lenient = await site.another(more)
    const webhook = { url: 'http://127.0.0.1:1/hook' }
    expect((await site.post({ model, input: 'a', webhook }, {}, lenient)).status).toBe(202)
    await lenient.close()
  })
})

test.each<[string, object, string]>([
  ['no URL', { url: 'hook' }, 'webhook.url'],
  ['another protocol', { url: 'ftp://93.184.216.34/hook' }, 'webhook.url'],
  ['too long a URL', { url: `${url}?${'x'.repeat(2048)}` }, 'webhook.url'],
  ['no events', { url, events: [] }, 'webhook.events'],
  ['an unknown event', { url, events: ['job.done'] }, 'webhook.events[0]'],
  ['an unknown field', { url, secret: 's' }, 'webhook'],
])('a webhook with %s does not fit the schema', async (_name, webhook, path) => {
  const response = await site.post({ model, input: 'a', webhook })
  const problem = problemSchema.parse(await bodyOf(response))
  expect([response.status, problem.errors[0]?.path]).toEqual([400, path])
})

describe('a job with a webhook', () => {
  test('shows it, with every way to end as its events, and what became of it', async () => {
    const job = await done({ input: 'a', webhook: { url } })
    const events = ['job.succeeded', 'job.failed', 'job.canceled', 'job.expired']
    expect(job.webhook).toEqual({ url, events, deliveries: [] })
    const log = await DeliveryLog.connect({ url: site.queue.url, role: 'worker' })
    const delivery: Delivery = {
      webhook_id: 'w1',
      event: 'job.succeeded',
      attempt: 1,
      at: '2026-01-01T00:00:00.000Z',
      outcome: 'delivered',
      status_code: 204,
      error: null,
      next_at: null,
    }
    await log.append(job.id, delivery, 60_000)
    await log.close()
    const read = await jobOf(await site.call(`/v1/jobs/${job.id}`))
    expect(read.webhook?.deliveries).toEqual([delivery])
  })

  test('can be read as long as its deliveries may take', async () => {
    const { completed_at, expires_at } = await done({ input: 'a', webhook: { url } })
    expect(Date.parse(expires_at) - Date.parse(completed_at ?? '')).toBe(48 * 3_600_000)
  })

  test('whose inputs are all known has a record, and its webhook is queued once', async () => {
    await rememberResults(site.cacheServer.url, ['known'])
    const body = { model, input: 'known', webhook: { url } }
    const key = { 'idempotency-key': 'known-with-a-webhook' }
    const first = await site.post(body, key)
    const job = await jobOf(first)
    expect([first.status, first.headers.get('x-cache'), job.status]).toEqual([200, 'hit', 'succeeded'])
    expect(job).toMatchObject({ output: [5, 107], webhook: { url } })
    expect(await jobOf(await site.post(body, key))).toEqual(job)
    expect(await jobOf(await site.call(`/v1/jobs/${job.id}`))).toEqual(job)
    expect(await toldOf(job.id)).toEqual([webhookJobId({ job: job.id, run: 0, event: 'job.succeeded' })])
    expect(worker.computed).toEqual([])
  })

  test('that wants to hear of other events is not told', async () => {
    await rememberResults(site.cacheServer.url, ['known'])
    const { id, status } = await done({ input: 'known', webhook: { url, events: ['job.failed'] } })
    expect([status, await toldOf(id)]).toEqual(['succeeded', []])
  })

  test('is told of a cancel and of a limit that passed, once each', async () => {
    worker.hold()
    const { id } = await jobOf(await site.post({ model, input: 'a', webhook: { url } }))
    await act('cancel', id)
    await act('cancel', id)
    expect(await toldOf(id)).toEqual([webhookJobId({ job: id, run: 0, event: 'job.canceled' })])
    const late = await done({ input: 'a', webhook: { url }, start_timeout_ms: 50 })
    expect(late.status).toBe('expired')
    await eventually(async () => (await toldOf(late.id)).length > 0)
    await site.call(`/v1/jobs/${late.id}`)
    expect(await toldOf(late.id)).toEqual([webhookJobId({ job: late.id, run: 0, event: 'job.expired' })])
  })

  test('tells of each run of a job that is tried again', async () => {
    worker.fails = () => true
    const { id } = await done({ input: 'a', webhook: { url } })
    const letGo = worker.hold()
    await act('retry', id)
    await act('cancel', id)
    expect(await toldOf(id)).toEqual([webhookJobId({ job: id, run: 1, event: 'job.canceled' })])
    letGo()
  })
})

describe('redeliver', () => {
  test('queues it once more, under an id of its own: 202', async () => {
    await rememberResults(site.cacheServer.url, ['known'])
    const job = await done({ input: 'known', webhook: { url } })
    const response = await act('webhook/redeliver', job.id)
    expect([response.status, await jobOf(response)]).toEqual([202, job])
    await act('webhook/redeliver', job.id)
    const told = await toldOf(job.id)
    expect(new Set(told).size).toBe(3)
    const data = await Promise.all(
      told.map((id) => site.queue.client().hget(`{mr:webhooks}:webhooks:${id}`, 'data')),
    )
    for (const one of data) {
      expect(JSON.parse(one ?? '')).toEqual({ job: job.id, run: 0, event: 'job.succeeded' })
    }
  })

  test('is 422 where there is nothing to tell: no webhook, not settled, not what it wants to hear of', async () => {
    await rememberResults(site.cacheServer.url, ['known'])
    const known = await done({ input: 'known' })
    await eventually(async () => (await site.call(`/v1/jobs/${known.id}`)).status === 200)
    const computed = await done({ input: 'computed' })
    const other = await done({ input: 'other', webhook: { url, events: ['job.failed'] } })
    const letGo = worker.hold()
    const waiting = await jobOf(await site.post({ model, input: 'waiting', webhook: { url } }))
    for (const { id } of [known, computed, other, waiting]) {
      expect(await codeOf(await act('webhook/redeliver', id))).toEqual([422, 'no_webhook'])
      expect(await toldOf(id)).toEqual([])
    }
    letGo()
  })
})
