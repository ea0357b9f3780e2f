import { encodeVector } from '@millrace/cache'
import { MillraceError } from '@millrace/contracts'
import { freshProgress, type SettledJob, type StoredJob, storedJob } from '@millrace/jobs'
import { describe, expect, test } from 'vitest'
import { msToLimit, rereadMs, settledJob } from './settled-job.js'

const facts = {
  id: 'j',
  model: 'm',
  scope: 's',
  tenant: 't',
  priority: 0,
  metadata: {},
  webhook: null,
  requestId: 'r',
  single: true,
  encoding: 'float' as const,
  truncate: false,
  slots: [0],
  slotCount: 1,
  knownCount: 0,
  createdAtMs: 0,
  startLimitMs: 60_000,
  lifeLimitMs: null,
  requestDigest: null,
  ttlMs: 1000,
}
const bytes = encodeVector(new Float32Array([1]))
const fresh = freshProgress(1, { startByMs: 60_000, settleByMs: null })
const queued = storedJob(facts, fresh, new Map())
const progress = { ...fresh, status: 'succeeded' as const, completedAtMs: 5 }
const done = storedJob(facts, progress, new Map([[0, bytes]]))
const never = new AbortController().signal

const unknown = new MillraceError('job_not_found', 'there is none')

/** Records what was asked, in order; waits end as the test says; the clock moves by the wait. */
function world(records: (StoredJob | MillraceError)[], waits: (SettledJob | undefined)[] = []) {
  let nowMs = 0
  const asked: string[] = []
  const context = {
    async read() {
      asked.push('read')
      const record = (records.length > 1 ? records.shift() : records[0]) ?? unknown
      if (record instanceof MillraceError) throw record
      return record
    },
    channel: {
      async waitFor(_id: string, limitMs: number) {
        asked.push('wait')
        nowMs += limitMs
        return waits.shift()
      },
    },
    now: () => nowMs,
  }
  return { context, asked }
}

test('results that travel in the message spare the reading', async () => {
  const { context, asked } = world([])
  const heard = Promise.resolve({ jobId: 'j', progress, outputs: new Map([[0, bytes]]) })
  const job = await settledJob('j', 1000, context, never, { job: queued, heard })
  expect(job).toMatchObject({ status: 'succeeded', outputs: new Map([[0, bytes]]) })
  expect(asked).toEqual([])
})

test('a message without results is a reason to read the record', async () => {
  const { context, asked } = world([done])
  const heard = Promise.resolve({ jobId: 'j', progress, outputs: null })
  expect(await settledJob('j', 1000, context, never, { job: queued, heard })).toBe(done)
  expect(asked).toEqual(['read'])
})

test('it listens before it reads, so that nothing settles unheard in between', async () => {
  const { context, asked } = world([done])
  await settledJob('j', 1000, context, never)
  expect(asked).toEqual(['wait', 'read'])
})

test('results that travel in the message spare the second reading too', async () => {
  const { context, asked } = world([queued], [{ jobId: 'j', progress, outputs: new Map([[0, bytes]]) }])
  const job = await settledJob('j', 2 * rereadMs, context, never)
  expect(job).toMatchObject({ status: 'succeeded', outputs: new Map([[0, bytes]]) })
  expect(asked).toEqual(['wait', 'read'])
})

test('all who wait for one job get one, to be written out once', async () => {
  const message = { jobId: 'j', progress, outputs: new Map([[0, bytes]]) }
  const hear = () => settledJob('j', 1000, world([queued], [message]).context, never)
  expect(await hear()).toBe(await hear())
})

test('for one who left nothing is read again', async () => {
  const leaving = new AbortController()
  const { context, asked } = world([queued, done])
  const { waitFor } = context.channel
  context.channel.waitFor = (id, limitMs) => {
    leaving.abort()
    return waitFor(id, limitMs)
  }
  expect(await settledJob('j', 1000, context, leaving.signal)).toBe(queued)
  expect(asked).toEqual(['wait', 'read'])
})

test('a missed message is made good by reading again', async () => {
  const { context } = world([queued, done])
  expect(await settledJob('j', 2 * rereadMs, context, never)).toBe(done)
})

test('when the limit comes first the job is answered as it is', async () => {
  const { context, asked } = world([queued])
  expect(await settledJob('j', 2.4 * rereadMs, context, never)).toBe(queued)
  expect(asked.filter((one) => one === 'wait')).toHaveLength(3)
  expect(asked.at(-1)).toBe('read')
})

test('without a wait it only reads; an aborted wait is none', async () => {
  const { context, asked } = world([queued])
  await settledJob('j', 0, context, never)
  await settledJob('j', 1000, context, AbortSignal.abort())
  expect(asked).toEqual(['read', 'read'])
})

test('a job nobody knows is told at once', async () => {
  const { context, asked } = world([unknown])
  await expect(settledJob('j', 60_000, context, never)).rejects.toBe(unknown)
  expect(asked).toEqual(['wait', 'read'])
})

describe('a job with a limit of its own', () => {
  const soonLate = storedJob(facts, { ...fresh, startByMs: 2000 }, new Map())
  const heardOf = { jobId: 'j', progress, outputs: null }

  /** The first wait is that for the message, the second ends at the job's limit; one that is undefined never ends. */
  async function waitsThatEnd(...ends: (SettledJob | 'limit' | undefined)[]) {
    const records = [soonLate, done]
    const limits: number[] = []
    const channel = {
      waitFor(_id: string, limitMs: number) {
        limits.push(limitMs)
        const end = ends.shift()
        if (end === undefined) return new Promise<never>(() => {})
        return Promise.resolve(end === 'limit' ? undefined : end)
      },
    }
    const context = { channel, now: () => 0, read: async () => records.shift() ?? done }
    expect(await settledJob('j', 60_000, context, never)).toBe(done)
    return limits
  }

  test('is read again just after the limit', async () => {
    expect(await waitsThatEnd(undefined, 'limit')).toEqual([rereadMs, 2001, rereadMs])
  })

  test('is read again at once where it is settled while its record is being read', async () => {
    expect(await waitsThatEnd(heardOf, undefined)).toEqual([rereadMs, 2001, rereadMs])
  })
})

test('the next limit is that to be taken while it waits, that to be settled while it is worked on, or none', () => {
  const both = { ...fresh, startByMs: 100, settleByMs: 300 }
  expect(msToLimit(both, 50)).toBe(51)
  expect(msToLimit({ ...both, status: 'processing' }, 50)).toBe(251)
  expect(msToLimit({ ...both, startByMs: 400 }, 50)).toBe(251)
  expect(msToLimit({ ...both, settleByMs: null, status: 'processing' }, 50)).toBe(Number.POSITIVE_INFINITY)
  expect(msToLimit(both, 500)).toBe(1)
})
