import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { encodeVector } from '@millrace/cache'
import { type Config, loadConfig } from '@millrace/config'
import { jobSchema, type WebhookEvent } from '@millrace/contracts'
import { DeliveryLog, JobStore, WebhookQueue } from '@millrace/jobs'
import { TenantStore } from '@millrace/tenants'
import { collectEvents, eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { newSecret } from '@millrace/webhooks'
import { Webhook } from 'standardwebhooks'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { CourierEvent } from './events.js'
import { type CourierOverrides, startCourier } from './start-courier.js'

interface Received {
  url: string
  headers: IncomingHttpHeaders
  body: string
}

let redis: RedisServer
let store: JobStore
let queue: WebhookQueue
let log: DeliveryLog
let serial = 0
const closers: (() => Promise<unknown>)[] = []
const secret = newSecret()
const secrets = { secretsOf: async () => [secret] }

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
  queue = await WebhookQueue.connect({ url: redis.url, role: 'gateway' })
  log = await DeliveryLog.connect({ url: redis.url, role: 'gateway' })
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  await redis.client().flushall()
})
afterAll(async () => {
  await Promise.all([store.close(), queue.close(), log.close()])
  await redis.stop()
})

function configured(change: Partial<Record<keyof Config, string>> = {}): Config {
  return loadConfig(
    {},
    {
      QUEUE_REDIS_URL: redis.url,
      LOG_LEVEL: 'silent',
      WEBHOOK_ALLOW_CIDRS: '127.0.0.0/8',
      WEBHOOK_ALLOW_HTTP: 'true',
      PUBLIC_URL: 'https://api.example/',
      LOCK_MS: '1500',
      STALLED_CHECK_MS: '500',
      ...change,
    },
  )
}

async function courier(overrides: CourierOverrides = {}, change: Partial<Record<keyof Config, string>> = {}) {
  const events = collectEvents<CourierEvent>()
  const one = await startCourier(configured(change), {
    secrets,
    delaysMs: [0, 10, 10],
    random: () => 0,
    onEvent: events.on,
    ...overrides,
  })
  closers.push(one.close)
  return { one, events, tried: (count = 1) => eventually(() => events.all('webhook-tried').length === count) }
}

/** A receiver that answers with these, in order; then with 204. */
async function receiver(...answers: (number | RequestListener)[]) {
  const got: Received[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    got.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() })
    const answer = answers.shift() ?? 204
    if (typeof answer === 'number') response.writeHead(answer).end()
    else answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?a=b`
  return { url, got, ids: () => got.map(({ headers }) => headers['webhook-id']) }
}

/** A job that succeeded with this many items, and its webhook in the queue. */
async function settledJob(url: string | null, items = 1): Promise<string> {
  const id = `01890000-0000-7000-8000-${String(serial++).padStart(12, '0')}`
  const nowMs = Date.now()
  const events: WebhookEvent[] = ['job.succeeded']
  await store.create({
    id,
    model: 'm',
    scope: 'shared',
    tenant: 'acme',
    priority: 0,
    metadata: {},
    webhook: url === null ? null : { url, events },
    requestId: 'req',
    single: items === 1,
    encoding: 'float',
    truncate: false,
    slots: Array(items).fill(0),
    slotCount: 1,
    knownCount: 0,
    createdAtMs: nowMs,
    startLimitMs: 1000,
    lifeLimitMs: null,
    requestDigest: null,
    ttlMs: 60_000,
    known: new Map(),
    chunks: [[{ slot: 0, input: 'a' }]],
  })
  const results = new Map([[0, encodeVector(Float32Array.from({ length: 384 }, (_, i) => Math.sin(i)))]])
  const costs = { failed: 0, hits: 0, joined: 0, tokenizeUs: 1, predictUs: 1, batchSize: 1 }
  await store.storeChunk({ jobId: id, run: 0, chunk: 0, ttlMs: 60_000, results, ...costs }, nowMs)
  await queue.add({ job: id, run: 0, event: 'job.succeeded' })
  return id
}

const verified = (received: Received | undefined, by = secret) =>
  new Webhook(by).verify(received?.body ?? '', { ...received?.headers } as Record<string, string>) as {
    type: string
    data: { output_url?: string }
  }

describe('a webhook', () => {
  it('is delivered once, signed as the standard says, with the whole job, and its try is on record', async () => {
    const { url, got } = await receiver()
    const id = await settledJob(url)
    const { tried } = await courier()
    await tried()
    await queue.add({ job: id, run: 0, event: 'job.succeeded' })
    expect(got).toHaveLength(1)
    expect(got[0]).toMatchObject({ url: '/hook?a=b', headers: { 'content-type': 'application/json' } })
    const message = verified(got[0])
    expect(message.type).toBe('job.succeeded')
    const job = jobSchema.parse(message.data)
    expect(job).toMatchObject({ id, status: 'succeeded' })
    expect(job.output).toHaveLength(384)
    expect(await log.read(id)).toEqual([
      {
        webhook_id: got[0]?.headers['webhook-id'],
        event: 'job.succeeded',
        attempt: 1,
        at: expect.any(String),
        outcome: 'delivered',
        status_code: 204,
        error: null,
        next_at: null,
      },
    ])
  })

  it('keeps its id from try to try until it is taken, and each try has its own signature', async () => {
    const { url, got, ids } = await receiver(500, 404)
    const id = await settledJob(url)
    const { tried } = await courier()
    await tried(3)
    expect(new Set(ids()).size).toBe(1)
    for (const one of got) expect(verified(one).type).toBe('job.succeeded')
    expect(await log.read(id)).toMatchObject([
      { attempt: 1, outcome: 'will_retry', status_code: 500, next_at: expect.any(String) },
      { attempt: 2, outcome: 'will_retry', status_code: 404, next_at: expect.any(String) },
      { attempt: 3, outcome: 'delivered', status_code: 204, next_at: null },
    ])
  })

  it('is given up when the schedule ends', async () => {
    const { url, got } = await receiver(500, 500, 500)
    const id = await settledJob(url)
    const { tried } = await courier()
    await tried(3)
    await eventually(async () => (await queue.queue.getFailedCount()) > 0)
    expect(got).toHaveLength(3)
    expect((await log.read(id)).map(({ outcome }) => outcome)).toEqual([
      'will_retry',
      'will_retry',
      'given_up',
    ])
  })

  it('that is gone for its receiver (410) is not tried again', async () => {
    const { url, got } = await receiver(410)
    const id = await settledJob(url)
    const { tried } = await courier()
    await tried()
    expect(await log.read(id)).toMatchObject([{ outcome: 'given_up', status_code: 410 }])
    expect((await queue.depth()).delayed).toBe(0)
    expect(got).toHaveLength(1)
  })

  it('does not follow a redirect: that is a failure, and the target sees nothing', async () => {
    const target = await receiver()
    const { url } = await receiver((_, response) => response.writeHead(302, { location: target.url }).end())
    const id = await settledJob(url)
    const { tried } = await courier()
    await tried(2)
    expect(await log.read(id)).toMatchObject([
      { outcome: 'will_retry', status_code: 302 },
      { outcome: 'delivered', status_code: 204 },
    ])
    expect(target.got).toEqual([])
  })

  it('whose receiver never answers is cut and tried again', async () => {
    const { url, ids } = await receiver(() => {})
    const id = await settledJob(url)
    const { tried } = await courier({ sendLimitMs: 100 })
    await tried(2)
    expect(await log.read(id)).toMatchObject([
      { outcome: 'will_retry', status_code: null, error: 'no answer within the time limit' },
      { outcome: 'delivered' },
    ])
    expect(new Set(ids()).size).toBe(1)
  })

  it('waits as long as its receiver asks', async () => {
    const { url } = await receiver((_, response) => response.writeHead(503, { 'retry-after': '30' }).end())
    const id = await settledJob(url)
    const { events } = await courier()
    expect(await events.next('webhook-tried')).toMatchObject({ nextMs: 30_000, statusCode: 503 })
    const [delivery] = await log.read(id)
    expect(Date.parse(delivery?.next_at ?? '') - Date.parse(delivery?.at ?? '')).toBeGreaterThanOrEqual(
      30_000,
    )
  })

  it('with a large output says where to read it', async () => {
    const { url, got } = await receiver()
    const id = await settledJob(url, 50)
    const { tried } = await courier()
    await tried()
    expect(got[0]?.body.length).toBeLessThan(20_000)
    expect(verified(got[0]).data).toMatchObject({
      output: null,
      output_url: `https://api.example/v1/jobs/${id}`,
    })
  })

  it('to an address that may not be called is refused at the send, and given up', async () => {
    const { url, got } = await receiver()
    const id = await settledJob(url)
    const { tried } = await courier({}, { WEBHOOK_ALLOW_CIDRS: '10.0.0.0/8' })
    await tried()
    expect(await log.read(id)).toMatchObject([
      { outcome: 'given_up', status_code: null, error: '127.0.0.1 is not a public address' },
    ])
    expect(got).toEqual([])
  })

  it('of a job that is gone, or that has none, is dropped', async () => {
    const { events } = await courier()
    await queue.add({ job: 'nobody', run: 0, event: 'job.failed' })
    expect(await events.next('webhook-dropped')).toMatchObject({ jobId: 'nobody', why: 'the job is gone' })
    const id = await settledJob(null)
    expect(await events.next('webhook-dropped', ({ jobId }) => jobId === id)).toMatchObject({
      why: 'the job has no webhook',
    })
    expect(events.all('webhook-tried')).toEqual([])
  })
})

describe('secrets', () => {
  it('that are rotated sign side by side, so that a receiver with either accepts it', async () => {
    const { url, got } = await receiver()
    const other = newSecret()
    await settledJob(url)
    const { tried } = await courier({ secrets: { secretsOf: async () => [other, secret] } })
    await tried()
    expect(String(got[0]?.headers['webhook-signature']).split(' ')).toHaveLength(2)
    for (const one of [secret, other]) expect(verified(got[0], one).type).toBe('job.succeeded')
  })

  it('are the tenant’s own by default', async () => {
    const { url, got } = await receiver()
    await settledJob(url)
    const tenants = await TenantStore.connect({ url: redis.url, role: 'cli' })
    closers.push(() => tenants.close())
    const events = collectEvents<CourierEvent>()
    const one = await startCourier(configured(), { onEvent: events.on })
    closers.push(one.close)
    await events.next('webhook-tried')
    const [own = ''] = await tenants.webhookSecrets('acme')
    expect(verified(got[0], own).type).toBe('job.succeeded')
    expect(() => verified(got[0])).toThrow()
  })
})

describe('a courier', () => {
  it('closed in mid-delivery leaves it to another one, under the same webhook-id and uncounted', async () => {
    const { url, got, ids } = await receiver(() => {})
    const id = await settledJob(url)
    const first = await courier({}, { STOP_TIMEOUT_MS: '100' })
    await eventually(() => got.length === 1)
    await first.one.close()
    expect(first.events.all('webhook-tried')).toEqual([])
    const second = await courier()
    await second.tried()
    expect(ids()).toEqual([ids()[0], ids()[0]])
    expect(await log.read(id)).toMatchObject([{ attempt: 1, outcome: 'delivered' }])
  })

  it('that stops lets a delivery in hand end', async () => {
    let answer: () => void = () => {}
    const { url, got } = await receiver((_, response) => {
      answer = () => response.writeHead(204).end()
    })
    const id = await settledJob(url)
    const { one } = await courier()
    await eventually(() => got.length === 1)
    const closed = one.close()
    answer()
    await closed
    expect(await log.read(id)).toMatchObject([{ outcome: 'delivered' }])
    expect(got).toHaveLength(1)
  })

  it('gives one endpoint 8 tries at a time, and another one its own', async () => {
    let inHand = 0
    let most = 0
    const waiting: (() => void)[] = []
    const slow = await receiver(
      ...Array.from(
        { length: 12 },
        (): RequestListener => (_, response) => {
          most = Math.max(most, ++inHand)
          waiting.push(() => {
            inHand -= 1
            response.writeHead(204).end()
          })
        },
      ),
    )
    const quick = await receiver()
    for (let i = 0; i < 12; i++) await settledJob(slow.url)
    const { events, tried } = await courier()
    await eventually(() => events.all('webhook-put-off').length >= 4 && waiting.length === 8)
    await settledJob(quick.url)
    await eventually(() => quick.got.length === 1)
    const release = () => {
      for (const end of waiting.splice(0)) end()
      return events.all('webhook-tried').length === 13
    }
    await eventually(release, { timeoutMs: 10_000 })
    await tried(13)
    expect(most).toBe(8)
    expect(slow.got).toHaveLength(12)
  })

  it('rests an endpoint that fails, without trying and without counting', async () => {
    const { url, got } = await receiver(...Array(20).fill(500))
    for (let i = 0; i < 5; i++) await settledJob(url)
    const { events } = await courier({ delaysMs: [0, 1] })
    await events.next('endpoint-rests')
    const id = await settledJob(url)
    expect(await events.next('webhook-put-off', ({ jobId }) => jobId === id)).toMatchObject({
      why: 'resting',
    })
    expect(await log.read(id)).toEqual([])
    // Five failures, and at most what else was in hand at the fifth.
    expect(got.length).toBeLessThan(5 + 8)
  })

  it('says in its health and metrics what it does', async () => {
    const { url } = await receiver()
    await settledJob(url)
    const { one, tried } = await courier()
    await tried()
    expect((await fetch(`${one.url}/readyz`)).status).toBe(200)
    const metrics = await (await fetch(`${one.url}/metrics`)).text()
    expect(metrics).toContain(
      'millrace_webhook_tries_total{event="job.succeeded",outcome="delivered",answer="2xx"} 1',
    )
  })

  it('outlives a restart of Redis', async () => {
    const { url } = await receiver()
    const { events, tried } = await courier()
    await redis.kill('SIGTERM')
    await redis.restart()
    await eventually(() => queue.healthy && store.healthy)
    await settledJob(url)
    await events.next('webhook-tried', undefined, { timeoutMs: 15_000 })
    await tried()
  })
})
