import { encodeVector } from '@millrace/cache'
import { freshProgress, type SettledJob, type StoredJob, storedJob } from '@millrace/jobs'
import { expect, test } from 'vitest'
import { settledJob } from './settled-job.js'

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
  deadlineAtMs: 60_000,
  ttlMs: 1000,
}
const bytes = encodeVector(new Float32Array([1]))
const queued = storedJob(facts, freshProgress(1), new Map())
const progress = { ...freshProgress(1), status: 'succeeded' as const, completedAtMs: 5 }
const done = storedJob(facts, progress, new Map([[0, bytes]]))
const never = new AbortController().signal

/** Records what was asked, in order; waits end as the test says; the clock moves by the wait. */
function world(records: (StoredJob | undefined)[], waits: (SettledJob | undefined)[] = []) {
  let nowMs = 0
  const asked: string[] = []
  const context = {
    store: {
      async read() {
        asked.push('read')
        return records.length > 1 ? records.shift() : records[0]
      },
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

test('a missed message is made good by reading again', async () => {
  const { context } = world([queued, done])
  expect(await settledJob('j', 20_000, context, never)).toBe(done)
})

test('when the limit comes first the job is answered as it is', async () => {
  const { context, asked } = world([queued])
  expect(await settledJob('j', 12_000, context, never)).toBe(queued)
  expect(asked.filter((one) => one === 'wait')).toHaveLength(3)
  expect(asked.at(-1)).toBe('read')
})

test('without a wait it only reads; an aborted wait is none', async () => {
  const { context, asked } = world([queued])
  await settledJob('j', 0, context, never)
  await settledJob('j', 1000, context, AbortSignal.abort())
  expect(asked).toEqual(['read', 'read'])
})

test('a job nobody knows is undefined at once', async () => {
  const { context } = world([undefined])
  expect(await settledJob('j', 60_000, context, never)).toBeUndefined()
})
