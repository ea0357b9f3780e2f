import { encodeError, encodeVector } from '@millrace/cache'
import { type JobStatus, jobSchema } from '@millrace/contracts'
import { freshProgress, type JobProgress, type KnownJob, limitsFrom, storedJob } from '@millrace/jobs'
import { expect, test } from 'vitest'
import { knownJobJson, storedJobJson } from './job-view.js'
import { ResultTexts } from './vector-json.js'

const texts = new ResultTexts(1 << 20)
const facts = {
  id: '01890000-0000-7000-8000-000000000000',
  model: 'm',
  tenant: 't',
  scope: 's',
  priority: 0,
  metadata: {},
  webhook: null,
  requestId: 'r',
  single: false,
  encoding: 'float' as const,
  truncate: false,
  slots: [0, 1, 0],
  slotCount: 2,
  knownCount: 0,
  createdAtMs: 1000,
  startLimitMs: 60_000,
  lifeLimitMs: null,
  requestDigest: null,
  ttlMs: 10_000,
}
const one = encodeVector(new Float32Array([1]))
const two = encodeVector(new Float32Array([2]))
const broken = encodeError({ code: 'input_crashes_model', detail: 'twice' })

function view(progress: Partial<JobProgress>, outputs: [number, Buffer][] = [], more = {}) {
  const fresh = freshProgress(1, limitsFrom(facts, facts.createdAtMs))
  const job = storedJob({ ...facts, ...more }, { ...fresh, ...progress }, new Map(outputs))
  return jobSchema.parse(
    JSON.parse(String(storedJobJson(job, texts, { waiting: 30, chunksPerS: 10, workers: 2 }))),
  )
}

const settled = { startedAtMs: 1500, completedAtMs: 2000, chunksDone: 1, batchSize: 2, attempts: 1 }

test('a waiting job shows its place and the time to it, and no output', () => {
  expect(view({})).toMatchObject({
    status: 'queued',
    queue: { position: 30, eta_ms: 3000, workers: 2 },
    output: null,
    started_at: null,
    completed_at: null,
    progress: { done: 0, total: 3 },
    urls: { get: `/v1/jobs/${facts.id}` },
  })
})

test('a job in work has no place any more and shows nothing of its output yet', () => {
  const job = view({ status: 'processing', startedAtMs: 1500, chunks: 2 }, [[0, one]])
  expect(job).toMatchObject({ queue: null, output: null, progress: { done: 2, total: 3 }, error: null })
})

test('a settled job has each item’s result in its place, failed ones as errors', () => {
  const job = view({ status: 'succeeded', ...settled }, [
    [0, one],
    [1, broken],
  ])
  expect(job.output).toEqual([[1], { error: { code: 'input_crashes_model', detail: 'twice' } }, [1]])
  expect(job).toMatchObject({
    error: null,
    progress: { done: 3, total: 3 },
    expires_at: '1970-01-01T00:00:12.000Z',
  })
  expect(job.metrics).toMatchObject({
    queue_ms: 500,
    batch_size: 2,
    cache: { hits: 0, misses: 2, joined: 0 },
  })
})

test('a single input has a single output', () => {
  expect(
    view({ status: 'succeeded', ...settled }, [[0, two]], { single: true, slots: [0], slotCount: 1 }).output,
  ).toEqual([2])
})

test('a failed job says why: its own error, or else its first item’s', () => {
  const outputs: [number, Buffer][] = [
    [0, broken],
    [1, broken],
  ]
  expect(view({ status: 'failed', ...settled }, outputs).error).toEqual({
    code: 'input_crashes_model',
    detail: 'twice',
  })
  const own = { code: 'queue_unavailable' as const, detail: 'the job could not be queued' }
  expect(view({ status: 'failed', ...settled, error: own })).toMatchObject({ error: own, output: null })
  expect(view({ status: 'failed', ...settled, error: own }, [[1, broken]]).output).toEqual([
    { error: own },
    { error: { code: 'input_crashes_model', detail: 'twice' } },
    { error: own },
  ])
})

test.each(['expired', 'canceled'] as JobStatus[])('a job that is %s has an error and no output', (status) => {
  const error = { code: 'job_expired' as const, detail: 'late' }
  expect(view({ status, completedAtMs: 2000, error })).toMatchObject({ status, error, output: null })
})

test('a job known at submit reads as one that succeeded at once', () => {
  const job: KnownJob = {
    kind: 'known',
    ...facts,
    keys: ['k0', 'k1'],
    inputs: ['a', 'b'],
    expiresAtMs: 61_000,
  }
  expect(jobSchema.parse(JSON.parse(String(knownJobJson(job, [one, two], texts))))).toMatchObject({
    status: 'succeeded',
    output: [[1], [2], [1]],
    progress: { done: 3, total: 3 },
    metrics: { cache: { hits: 2, misses: 0, joined: 0 } },
    expires_at: '1970-01-01T00:01:01.000Z',
  })
})
