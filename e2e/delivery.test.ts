/**
 * Whoever dies on the way, what was accepted is told: couriers, workers, gateways and Redis are killed while webhooks are
 * delivered. The fleet begins without a worker, which the first tests need; the others see to it that there is one.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { encodeVector } from '@millrace/cache'
import { jobListSchema, type WebhookEvent } from '@millrace/contracts'
import { JobStore } from '@millrace/jobs'
import { eventually, type Fleet, type FleetProcess, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, freshTexts, itemsComputed, jobOf, millrace, model, post, root } from './api.js'
import { closeReceivers, loopbackEnv, receiverAt, secretsOf, startReceiver, verified } from './receiver.js'

let fleet: Fleet
let secret = ''

beforeAll(async () => {
  // What a dead courier or worker held comes back after lock + check; the defaults are 10 s + 5 s.
  const env = { ...loopbackEnv, LOCK_MS: '2000', STALLED_CHECK_MS: '1000', CLAIM_LEASE_MS: '2000' }
  fleet = await startFleet({ root, gateways: 1, workers: 0, couriers: 2, env })
  secret = (await secretsOf(fleet))[0] ?? ''
})
afterAll(async () => {
  await closeReceivers()
  await fleet?.stop()
})

const idOf = (received: { headers: Record<string, unknown> } | undefined) => received?.headers['webhook-id']

/** The deliveries on record once there are so many. */
function deliveriesOf(id: string, count: number) {
  return eventually(
    async () => {
      const { webhook } = jobOf(await call(fleet.url, `/v1/jobs/${id}`))
      return webhook && webhook.deliveries.length >= count && webhook.deliveries
    },
    { timeoutMs: 20_000, what: `${count} deliveries of ${id}` },
  )
}

async function submitTo(url: string, more: Record<string, unknown> = {}, events?: WebhookEvent[]) {
  const webhook = { url, ...(events ? { events } : {}) }
  return jobOf(await post(fleet.url, { model, input: freshTexts(1)[0], webhook, ...more }))
}

async function aWorker(): Promise<void> {
  if (fleet.workers.length === 0) await fleet.startWorker()
}

/** Resolves once no courier has this job left to look at. */
async function nothingToLookAt(id: string) {
  const redis = fleet.queueRedis.client()
  await eventually(async () => (await redis.zscore('mr:{watch}', id)) === null, { timeoutMs: 45_000 })
}

/** Does what a worker does until it has stored the one chunk of a job, and then nothing more. */
async function storeAndDie(id: string) {
  const store = await JobStore.connect({ url: fleet.queueRedis.url, role: 'worker' })
  const chunk = { jobId: id, run: 0, chunk: 0 }
  const taken = await store.take(chunk, 1, Date.now())
  if (taken.state !== 'taken') throw new Error(`the chunk is ${taken.state}`)
  const results = new Map([[0, encodeVector(new Float32Array(384).fill(0.05))]])
  const costs = { failed: 0, hits: 0, joined: 0, tokenizeUs: 1, predictUs: 1, batchSize: 1 }
  const { ttlMs } = taken.facts
  const outcome = await store.storeChunk({ ...chunk, ttlMs, results, ...costs }, Date.now())
  expect(outcome.state).toBe('settled-now')
  await store.close()
}

describe('while no worker is up', () => {
  it('a job that nobody takes expires, and its webhook says so though nobody asks', async () => {
    const receiver = await startReceiver()
    const job = await submitTo(receiver.url, { start_timeout_ms: 300 })
    const [message] = await receiver.arrived(1)
    expect(verified(message, secret)).toMatchObject({
      type: 'job.expired',
      job: { id: job.id, status: 'expired', error: { code: 'job_expired' } },
    })
  })

  it('a job that settled, and of which nobody told, is found and told once', async () => {
    const receiver = await startReceiver()
    const job = await submitTo(receiver.url, { start_timeout_ms: 1500 })
    await storeAndDie(job.id)
    const [message] = await receiver.arrived(1)
    expect(verified(message, secret)).toMatchObject({
      type: 'job.succeeded',
      job: { id: job.id, status: 'succeeded' },
    })
    await nothingToLookAt(job.id)
    expect(receiver.got).toHaveLength(1)
  })
})

describe('a worker that dies between settling a job and telling of it', () => {
  it('leaves its chunk to the next worker, which tells', async () => {
    const receiver = await startReceiver()
    // Its limits are ten minutes off: it cannot be the couriers' sweep that finds it.
    const job = await submitTo(receiver.url)
    await storeAndDie(job.id)
    expect(receiver.got).toEqual([])
    await fleet.startWorker()
    const [message] = await receiver.arrived(1)
    expect(verified(message, secret)).toMatchObject({ type: 'job.succeeded', job: { id: job.id } })
    expect(await itemsComputed(fleet)).toBe(0)
  })
})

describe('a courier killed while a receiver holds its request', () => {
  beforeAll(aWorker)

  it('is stood in for by another one, under the same webhook-id', async () => {
    const receiver = await startReceiver('hold')
    const job = await submitTo(receiver.url)
    const [held] = await receiver.arrived(1)
    const victim = await courierWith(`${job.id}-0-job.succeeded`)
    await victim.kill('SIGKILL')
    const [, again] = await receiver.arrived(2)
    expect(idOf(again)).toBe(idOf(held))
    expect(verified(again, secret).job.id).toBe(job.id)
    // The try that was cut off is repeated under its number.
    expect(await deliveriesOf(job.id, 1)).toMatchObject([{ attempt: 1, outcome: 'delivered' }])
    await fleet.startCourier()
  })
})

/** BullMQ writes into each job who works on it (`pb`); a courier's name has its process id in it. */
async function courierWith(deliveryId: string): Promise<FleetProcess> {
  const name = await eventually(() =>
    fleet.queueRedis.client().hget(`{mr:webhooks}:webhooks:${deliveryId}`, 'pb'),
  )
  const found = fleet.couriers.find(({ pid }) => name.includes(`-${pid}-`))
  if (!found) throw new Error(`no courier of this fleet is ${name}`)
  return found
}

describe('a restart of the queue Redis', () => {
  beforeAll(aWorker)

  it('in the middle of a delivery loses neither that one nor the next', async () => {
    const receiver = await startReceiver('hold')
    const first = await submitTo(receiver.url)
    const [held] = await receiver.arrived(1)
    await fleet.queueRedis.kill('SIGTERM')
    held?.response.writeHead(204).end()
    await fleet.queueRedis.restart()
    const deliveries = await deliveriesOf(first.id, 1)
    expect(deliveries.at(-1)).toMatchObject({ outcome: 'delivered', webhook_id: idOf(held) })

    const second = await eventually(() => submitTo(receiver.url), { timeoutMs: 10_000 })
    await eventually(() => receiver.got.some(({ body }) => JSON.parse(body).data.id === second.id), {
      timeoutMs: 20_000,
    })
    // Delivered twice it may be, never under two names.
    const ids = new Map(receiver.got.map((one) => [JSON.parse(one.body).data.id, idOf(one)]))
    for (const one of receiver.got) expect(idOf(one)).toBe(ids.get(JSON.parse(one.body).data.id))
  })
})

// Each waits the five seconds before the second try.
describe.concurrent('a receiver in trouble', () => {
  beforeAll(aWorker)

  it('is tried again, and what it answered is on record', async () => {
    const receiver = await startReceiver(500, 204)
    const job = await submitTo(receiver.url)
    const [first, second] = await receiver.arrived(2)
    expect(idOf(second)).toBe(idOf(first))
    expect(verified(second, secret).job).toMatchObject({ id: job.id, status: 'succeeded' })
    // Each try is signed with its own time.
    const [before, after] = [first, second].map((one) => Number(one?.headers['webhook-timestamp']))
    expect((after ?? 0) - (before ?? 0)).toBeGreaterThanOrEqual(5)
    const deliveries = await deliveriesOf(job.id, 2)
    expect(deliveries).toMatchObject([
      { attempt: 1, outcome: 'will_retry', status_code: 500, next_at: expect.any(String) },
      { attempt: 2, outcome: 'delivered', status_code: 204, next_at: null },
    ])
  })

  it('that is not there yet gets it when it is', async () => {
    const gone = await startReceiver()
    await gone.close()
    const job = await submitTo(gone.url)
    const [first] = await deliveriesOf(job.id, 1)
    expect(first).toMatchObject({ outcome: 'will_retry', status_code: null, error: expect.any(String) })
    const receiver = await receiverAt(gone.port)
    const [message] = await receiver.arrived(1)
    expect(verified(message, secret).job.id).toBe(job.id)
  })

  it('is not followed elsewhere, nor asked again where it says that it is gone', async () => {
    const receiver = await startReceiver(410)
    const job = await submitTo(receiver.url)
    expect(await deliveriesOf(job.id, 1)).toMatchObject([{ outcome: 'given_up', status_code: 410 }])

    // Told once more at its owner's word, under the same id.
    const asked = await call(fleet.url, `/v1/jobs/${job.id}/webhook/redeliver`, { method: 'POST' })
    expect(asked.status).toBe(202)
    const [first, second] = await receiver.arrived(2)
    expect(idOf(second)).toBe(idOf(first))
    expect(await deliveriesOf(job.id, 2)).toMatchObject([
      { attempt: 1 },
      { attempt: 1, outcome: 'delivered' },
    ])
  })
})

describe('secrets', () => {
  beforeAll(aWorker)

  it('are changed without a webhook that the old or the new one cannot verify', async () => {
    const receiver = await startReceiver()
    await millrace(fleet, ['webhook-secrets', 'rotate', '--tenant', 'default'])
    const [fresh = '', old = ''] = await secretsOf(fleet)
    expect(old).toBe(secret)
    await submitTo(receiver.url)
    const [both] = await receiver.arrived(1)
    expect(verified(both, old).id).toBe(verified(both, fresh).id)

    await millrace(fleet, ['webhook-secrets', 'drop-old', '--tenant', 'default'])
    await submitTo(receiver.url)
    const [, last] = await receiver.arrived(2)
    expect(verified(last, fresh).type).toBe('job.succeeded')
    expect(() => verified(last, old)).toThrow(/signature/i)
  })
})

describe('a gateway killed while it takes a job with an Idempotency-Key', () => {
  beforeAll(aWorker)

  const rounds = 20

  it('loses nothing and doubles nothing: the same request at another gateway is one job with one result', async () => {
    await post(fleet.url, { model, input: 'warm' }, { prefer: 'wait=30' })
    const computedBefore = await itemsComputed(fleet)
    const seen: Seen[] = []
    while (seen.length < rounds) {
      const victims = await Promise.all([1, 2, 3, 4].map(() => fleet.startGateway()))
      for (const victim of victims) seen.push(await killedWhileSubmitting(victim, seen.length))
    }
    // Some died before the record was written and some after it: else this test would show little.
    expect(seen.filter(({ recorded }) => recorded).length).toBeGreaterThan(0)
    expect(seen.filter(({ recorded }) => !recorded).length).toBeGreaterThan(0)
    expect(new Set(seen.map(({ id }) => id)).size).toBe(rounds)
    expect((await itemsComputed(fleet)) - computedBefore).toBe(2 * rounds)
    const list = jobListSchema.parse((await call(fleet.url, '/v1/jobs?limit=100')).body)
    const listed = list.data.flatMap(({ id, metadata }) => (metadata.round ? id : []))
    expect(listed.sort()).toEqual(seen.map(({ id }) => id).sort())
  })
})

interface Seen {
  id: string
  /** Whether the record was there when the gateway died. */
  recorded: boolean
}

async function killedWhileSubmitting(victim: FleetProcess, round: number): Promise<Seen> {
  // What a gateway does for the first time takes long; it is to die anywhere in the work, not in the warming up.
  for (let i = 0; i < 3; i++) await post(victim.url, { model, input: 'warm' }, { prefer: 'wait=30' })
  const body = { model, inputs: freshTexts(2), metadata: { round: String(round) } }
  const headers = { 'idempotency-key': `killed-${round}` }
  const monitor = await fleet.queueRedis.client().monitor()
  const written = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, args: string[]) => {
      if (args.some((one) => one.includes(`"round":"${round}"`))) resolve()
    })
  })
  const answer = post(victim.url, body, headers).then(jobOf, () => undefined)
  // In turn: some moment of a request, and the moment between its record and all that follows.
  await (round % 2 ? written : pause(Math.random() * 16))
  const diedMs = Date.now()
  await victim.kill('SIGKILL')
  monitor.disconnect()
  const first = await answer
  const again = jobOf(await post(fleet.url, body, { ...headers, prefer: 'wait=30' }))
  expect(again.status).toBe('succeeded')
  if (first) expect(first.id).toBe(again.id)
  const third = jobOf(await post(fleet.url, body, headers))
  expect(third).toMatchObject({ id: again.id, output: again.output })
  return { id: again.id, recorded: Date.parse(again.created_at) <= diedMs }
}
