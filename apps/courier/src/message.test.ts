import { encodeError, encodeLabels, encodeScore, encodeVector } from '@millrace/cache'
import { jobSchema } from '@millrace/contracts'
import { freshProgress, type JobFacts, type JobProgress, limitsFrom, storedJob } from '@millrace/jobs'
import { describe, expect, it } from 'vitest'
import { messageBody, messageId } from './message.js'

const facts: JobFacts = {
  id: '01890000-0000-7000-8000-000000000000',
  model: 'm',
  tenant: 't',
  scope: 's',
  priority: 0,
  metadata: { order: '7' },
  webhook: { url: 'https://example.com/hook', events: ['job.succeeded'] },
  requestId: 'r',
  single: false,
  encoding: 'float',
  truncate: false,
  slots: [0],
  slotCount: 1,
  knownCount: 0,
  createdAtMs: 1000,
  startLimitMs: 60_000,
  lifeLimitMs: null,
  requestDigest: null,
  ttlMs: 10_000,
}
const settled = { status: 'succeeded', startedAtMs: 1500, completedAtMs: 2000, chunksDone: 1 } as const
const vector = (length: number) => encodeVector(Float32Array.from({ length }, (_, i) => Math.sin(i)))

function body(change: Partial<JobFacts>, progress: Partial<JobProgress>, outputs: [number, Buffer][] = []) {
  const fresh = freshProgress(1, limitsFrom(facts, facts.createdAtMs))
  const job = storedJob({ ...facts, ...change }, { ...fresh, ...progress }, new Map(outputs))
  const event = progress.status === 'processing' ? 'job.started' : 'job.succeeded'
  const text = messageBody(job, event, 'https://api.example', 9000)
  return { text, message: JSON.parse(text), data: jobSchema.parse(JSON.parse(text).data) }
}

describe('a message', () => {
  it('says what happened, when it happened, and the whole job', () => {
    const { message, data } = body({}, settled, [[0, vector(3)]])
    expect(Object.keys(message)).toEqual(['type', 'timestamp', 'data'])
    expect(message).toMatchObject({ type: 'job.succeeded', timestamp: '1970-01-01T00:00:02.000Z' })
    expect(data).toMatchObject({ id: facts.id, status: 'succeeded', metadata: { order: '7' } })
    expect(data.output).toHaveLength(1)
    expect(message.data).not.toHaveProperty('output_url')
  })

  it('of a start tells of a job without an output', () => {
    const { message, data } = body({}, { status: 'processing', startedAtMs: 1500 })
    expect(message).toMatchObject({ type: 'job.started', timestamp: '1970-01-01T00:00:01.500Z' })
    expect(data).toMatchObject({ status: 'processing', output: null })
    expect(message.data).not.toHaveProperty('output_url')
  })

  it('of a job without outputs says why and points nowhere', () => {
    const error = { code: 'job_expired' as const, detail: 'late' }
    const { message } = body({}, { status: 'expired', completedAtMs: 2000, error })
    expect(message.data).toMatchObject({ output: null, error })
    expect(message.data).not.toHaveProperty('output_url')
  })

  it('of a job that was queued again since then claims no place in the queue', () => {
    expect(body({}, { status: 'queued' }).data).toMatchObject({ status: 'queued', queue: null, output: null })
  })
})

describe('an output', () => {
  it.each([
    ['a few numbers', 1, 384, true],
    ['more than fits', 5, 384, false],
    ['far more than fits', 2000, 384, false],
    ['many failed items', 2000, 0, false],
  ])('of %s', (_what, count, length, inlined) => {
    const bytes = length === 0 ? encodeError({ code: 'input_too_long', detail: 'too long' }) : vector(length)
    const { text, message, data } = body({ slots: Array(count).fill(0) }, settled, [[0, bytes]])
    expect(Buffer.byteLength(text)).toBeLessThan(20_000)
    if (inlined) {
      expect(data.output).toHaveLength(count)
    } else {
      expect(message.data).toMatchObject({
        output: null,
        output_url: `https://api.example/v1/jobs/${facts.id}`,
        progress: { total: count },
      })
    }
  })

  it('of a classifier tells its labels, as many as the job asked for', () => {
    const bytes = encodeLabels(['a', 'b', 'c'], new Float32Array([0.25, 0.5, 0.25]))
    const labels = { label: 'b', score: 0.5 }
    expect(body({}, settled, [[0, bytes]]).data.output).toMatchObject([
      [labels, { label: 'a' }, { label: 'c' }],
    ])
    expect(body({ topK: 1 }, settled, [[0, bytes]]).data.output).toEqual([[labels]])
  })

  it('of a reranker tells its score', () => {
    expect(body({}, settled, [[0, encodeScore(0)]]).data.output).toEqual([{ score: 0.5 }])
    expect(body({ rawScores: true }, settled, [[0, encodeScore(-3)]]).data.output).toEqual([{ score: -3 }])
  })

  it('is counted in bytes, not in characters', () => {
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, '🙂'.repeat(250)]))
    const { message } = body({ metadata }, settled, [[0, vector(384)]])
    expect(message.data).toMatchObject({ output: null, metadata, output_url: expect.any(String) })
  })
})

it('a message’s id is made of job, run and event, and has no full stop in it', () => {
  const data = { job: facts.id, run: 0, event: 'job.succeeded' } as const
  expect(messageId(data)).toBe(`msg_${facts.id}_0_succeeded`)
  const ids = [data, { ...data, run: 1 }, { ...data, event: 'job.failed' as const }].map(messageId)
  expect(new Set(ids).size).toBe(3)
  expect(ids.join()).not.toContain('.')
})
