import type { Delivery } from '@millrace/contracts'
import { freshProgress, type StoredJob, type WebhookData } from '@millrace/jobs'
import { describe, expect, test } from 'vitest'
import { messageId } from './message.js'
import { type SweepContext, sweepOnce } from './sweep.js'

const nowMs = 1_000_000
const id = '01890000-0000-7000-8000-000000000001'

function jobOf(change: Partial<StoredJob> = {}): StoredJob {
  return {
    kind: 'stored',
    ...{ id, model: 'm', tenant: 't', scope: 's', requestId: 'r', single: true, encoding: 'float' },
    ...{ truncate: false, slots: [0], priority: 0, metadata: {}, createdAtMs: nowMs - 500 },
    ...{ slotCount: 1, knownCount: 0, startLimitMs: 1000, lifeLimitMs: null, requestDigest: null },
    ...freshProgress(1, { startByMs: nowMs + 500, settleByMs: null }),
    webhook: { url: 'https://a.example', events: ['job.succeeded', 'job.expired'] },
    ttlMs: 60_000,
    expiresAtMs: nowMs + 60_000,
    outputs: new Map(),
    ...change,
  }
}

const tryOf = (run: number, event: WebhookData['event']): Delivery => ({
  webhook_id: messageId({ job: id, run, event }),
  event,
  attempt: 1,
  at: new Date(nowMs).toISOString(),
  outcome: 'delivered',
  status_code: 204,
  error: null,
  next_at: null,
})

/** One sweep over one due job. */
async function sweep(job: StoredJob | undefined, deliveries: Delivery[] = []) {
  const looks = new Map<string, number>([[id, nowMs]])
  const told: WebhookData[] = []
  const settled: string[] = []
  const removed: string[] = []
  const context: SweepContext = {
    store: {
      read: async () => job,
      async settle(_facts, status) {
        if (!job) return { state: 'gone' }
        settled.push(status)
        return { state: 'settled-now', facts: job, progress: { ...job, status } }
      },
      publish: async () => {},
    },
    queues: { remove: async (_model, { jobId }) => void removed.push(jobId) },
    watch: {
      takeDue: async () => [id],
      at: async (one, dueMs) => void looks.set(one, dueMs),
      forget: async (one) => void looks.delete(one),
    },
    webhooks: { add: async (data) => void told.push(data) },
    log: { read: async () => deliveries },
    now: () => nowMs,
    emit: () => {},
  }
  await sweepOnce(context)
  return { told, settled, removed, nextLookMs: looks.get(id) }
}

describe('a settled job', () => {
  test('of which nobody told is told', async () => {
    const { told, nextLookMs } = await sweep(jobOf({ status: 'succeeded', run: 2 }))
    expect(told).toEqual([{ job: id, run: 2, event: 'job.succeeded' }])
    expect(nextLookMs).toBeUndefined()
  })

  test('whose webhook was tried is not told again', async () => {
    const { told, nextLookMs } = await sweep(jobOf({ status: 'succeeded' }), [tryOf(0, 'job.succeeded')])
    expect([told, nextLookMs]).toEqual([[], undefined])
  })

  test('is told also where an earlier run ended, and was told of, in the same way', async () => {
    const { told } = await sweep(jobOf({ status: 'expired', run: 1 }), [tryOf(0, 'job.expired')])
    expect(told).toEqual([{ job: id, run: 1, event: 'job.expired' }])
  })

  test.each<[string, Partial<StoredJob>]>([
    ['without a webhook', { webhook: null }],
    ['whose webhook is for other events', { webhook: { url: 'https://a.example', events: ['job.failed'] } }],
  ])('%s is forgotten', async (_name, change) => {
    const { told, nextLookMs } = await sweep(jobOf({ status: 'succeeded', ...change }))
    expect([told, nextLookMs]).toEqual([[], undefined])
  })
})

describe('a job that is not settled', () => {
  test.each<[string, Partial<StoredJob>]>([
    ['nobody took in time', { startByMs: nowMs - 1 }],
    ['was not done in time', { status: 'processing', settleByMs: nowMs - 1 }],
  ])('and that %s expires, is told, and is looked at once more', async (_name, change) => {
    const { told, settled, removed, nextLookMs } = await sweep(jobOf(change))
    expect([settled, removed]).toEqual([['expired'], [id]])
    expect(told).toEqual([{ job: id, run: 0, event: 'job.expired' }])
    expect(nextLookMs).toBeGreaterThan(nowMs)
  })

  test.each<[string, Partial<StoredJob>, number]>([
    ['waiting, when it has to be taken', {}, nowMs + 501],
    ['waiting, when it has to be settled, if that is sooner', { settleByMs: nowMs + 100 }, nowMs + 101],
    ['at work with a limit, at that', { status: 'processing', settleByMs: nowMs + 100 }, nowMs + 101],
    ['at work without one, in a minute', { status: 'processing' }, nowMs + 60_001],
  ])('is looked at again: %s', async (_name, change, atMs) => {
    const { settled, told, nextLookMs } = await sweep(jobOf(change))
    expect([settled, told, nextLookMs]).toEqual([[], [], atMs])
  })
})

test('a job that is no more is forgotten', async () => {
  const { told, nextLookMs } = await sweep(undefined)
  expect([told, nextLookMs]).toEqual([[], undefined])
})
