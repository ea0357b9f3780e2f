/**
 * A job's life under any order of what can happen to it, against a small model of the record. Each step is one script
 * and so atomic: every interleaving of workers, clients and sweepers is some sequence of these steps.
 */
import { isTerminal, type JobStatus } from '@millrace/contracts'
import { queueRedis, type RedisServer } from '@millrace/testkit'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JobStore } from './job-store.js'
import { expired, failure, inChunks, newJob, now, result, stored, vector } from './job-under-test.js'
import { limitsFrom, type NewJob } from './record.js'

let redis: RedisServer
let store: JobStore

beforeAll(async () => {
  redis = await queueRedis({ appendonly: false })
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
})
afterAll(async () => {
  await store.close()
  await redis.stop()
})

/** `late`: by a worker that still holds a chunk of the run before. */
type Step = { afterMs: number } & (
  | { do: 'take' | 'store-good' | 'store-bad'; chunk: number; late: boolean }
  | { do: 'settle'; status: 'canceled' | 'expired' | 'failed' }
  | { do: 'retry' }
)

const stepOf = (chunks: number): fc.Arbitrary<Step> => {
  const afterMs = fc.integer({ min: 0, max: 700 })
  const chunk = fc.nat(chunks - 1)
  // A late worker is the exception.
  const late = fc.nat(5).map((one) => one === 0)
  const work = fc.constantFrom('take' as const, 'take' as const, 'store-good' as const, 'store-bad' as const)
  const status = fc.constantFrom(
    'canceled' as const,
    'expired' as const,
    'expired' as const,
    'failed' as const,
  )
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: work, chunk, late, afterMs }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('settle' as const), status, afterMs }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), afterMs }) },
  )
}
const life = fc.integer({ min: 1, max: 4 }).chain((chunks) =>
  fc.record({
    chunks: fc.constant(chunks),
    known: fc.boolean(),
    lifeLimitMs: fc.constantFrom(null, 2000),
    steps: fc.array(stepOf(chunks), { minLength: 1, maxLength: 24 }),
  }),
)

/** What the record must say. */
class Model {
  status: JobStatus = 'queued'
  run = 0
  startedAtMs: number | null = null
  completedAtMs: number | null = null
  readonly stored = new Set<number>()
  readonly outputs: Map<number, Buffer>
  failed = 0
  progressEvents = 0
  limits: ReturnType<typeof limitsFrom>
  readonly #job: NewJob

  constructor(job: NewJob) {
    this.#job = job
    this.outputs = new Map(job.known)
    this.limits = limitsFrom(job, job.createdAtMs)
  }

  /** @returns the state that the store must answer */
  take(chunk: number, run: number, nowMs: number): string {
    const passed = this.#passedOver(chunk, run)
    if (passed) return passed
    if (this.#isLate(nowMs)) return 'late'
    if (this.status === 'queued') {
      this.status = 'processing'
      this.startedAtMs = nowMs
    }
    return 'taken'
  }

  store(chunk: number, run: number, bytes: Buffer, nowMs: number): string {
    const passed = this.#passedOver(chunk, run)
    if (passed) return passed
    this.stored.add(chunk)
    this.outputs.set(chunk, bytes)
    if (bytes === failure) this.failed += 1
    if (this.stored.size < this.#job.chunks.length) {
      this.progressEvents += 1
      return 'more'
    }
    return this.settle(this.failed === this.outputs.size ? 'failed' : 'succeeded', nowMs)
  }

  settle(status: JobStatus, nowMs: number): string {
    if (isTerminal(this.status)) return 'settled'
    this.status = status
    this.completedAtMs = nowMs
    return 'settled-now'
  }

  retry(nowMs: number): { state: string; chunks?: number[] } {
    const chunks = () => [...this.#job.chunks.keys()].filter((chunk) => !this.stored.has(chunk))
    if (this.status === 'queued' && this.run > 0) return { state: 'queued', chunks: chunks() }
    if (this.status !== 'failed' && this.status !== 'expired') return { state: 'refused' }
    if (this.outputs.size > 0 && this.failed === this.outputs.size) {
      this.outputs.clear()
      this.stored.clear()
      this.failed = 0
    }
    this.status = 'queued'
    this.run += 1
    this.startedAtMs = null
    this.completedAtMs = null
    this.progressEvents = 0
    this.limits = limitsFrom(this.#job, nowMs)
    return { state: 'queued', chunks: chunks() }
  }

  /** Nothing is told of a job that nobody has taken; a worker takes before it stores. */
  get events(): string[] {
    if (this.status === 'queued') return []
    const progress = Array.from({ length: this.progressEvents }, () => 'progress')
    return [
      ...(this.startedAtMs === null ? [] : ['started']),
      ...progress,
      ...(isTerminal(this.status) ? [this.status] : []),
    ]
  }

  #passedOver(chunk: number, run: number): string | undefined {
    if (run !== this.run) return 'retried'
    if (isTerminal(this.status)) return 'settled'
    return this.stored.has(chunk) ? 'stored' : undefined
  }

  #isLate(nowMs: number): boolean {
    const { startByMs, settleByMs } = this.limits
    return (this.status === 'queued' && nowMs > startByMs) || (settleByMs !== null && nowMs > settleByMs)
  }
}

/** Both take the step, and must answer alike. */
async function take(step: Step, job: NewJob, model: Model, nowMs: number): Promise<void> {
  if (step.do === 'settle') {
    const said = await store.settle(job, step.status, expired, nowMs)
    expect(said.state).toBe(model.settle(step.status, nowMs))
  } else if (step.do === 'retry') {
    const expected = model.retry(nowMs)
    expect(await store.retry(job, nowMs)).toMatchObject(expected)
    expect(expected.chunks).not.toEqual([])
  } else {
    const run = step.late ? model.run - 1 : model.run
    const { chunk } = step
    if (step.do === 'take') {
      const said = await store.take({ jobId: job.id, run, chunk }, 1, nowMs)
      expect(said.state).toBe(model.take(chunk, run, nowMs))
      if (said.state === 'taken') expect(said.items).toEqual(job.chunks[chunk])
      return
    }
    // Of each run another vector: so that one that takes another's place is seen.
    const bytes = step.do === 'store-bad' ? failure : vector(chunk, run)
    const failed = step.do === 'store-bad' ? 1 : 0
    const said = await store.storeChunk(result(job.id, chunk, [[chunk, bytes]], failed, run), nowMs)
    expect(said.state).toBe(model.store(chunk, run, bytes, nowMs))
  }
}

it('ends once per run, is opened again by a retry alone, and loses no output, whatever happens in whatever order', async () => {
  await fc.assert(
    fc.asyncProperty(life, async ({ chunks, known, lifeLimitMs, steps }) => {
      const all = inChunks(chunks)
      const job = newJob({
        ...all,
        slots: known ? [...all.slots, chunks] : all.slots,
        slotCount: chunks + Number(known),
        knownCount: Number(known),
        known: new Map(known ? [[chunks, vector(-1)]] : []),
        lifeLimitMs,
      })
      await store.create(job)
      const model = new Model(job)
      const good = new Map<number, Buffer>(job.known)
      let nowMs = now
      let before = await stored(store, job.id)
      let lastIdOfRunsBefore = '0-0'
      let lastId = '0-0'
      for (const step of steps) {
        nowMs += step.afterMs
        await take(step, job, model, nowMs)
        const read = await stored(store, job.id)
        const { status, run, startedAtMs, completedAtMs, outputs } = model
        const chunksDone = model.stored.size
        const { startByMs, settleByMs } = model.limits
        const expected = { status, run, startedAtMs, completedAtMs, chunksDone, startByMs, settleByMs }
        expect(read).toMatchObject(expected)
        expect(read.outputs).toEqual(outputs)

        // Said once more without the model: a terminal status stays until a retry, which counts a run.
        if (isTerminal(before.status) && read.run === before.run) {
          expect(read).toEqual(before)
        }
        for (const [slot, bytes] of before.outputs) if (!bytes.equals(failure)) good.set(slot, bytes)
        for (const [slot, bytes] of good) expect(read.outputs.get(slot)).toEqual(bytes)

        if (read.run > before.run) lastIdOfRunsBefore = lastId
        const events = await store.eventsAfter(read, lastIdOfRunsBefore)
        expect(events.map(({ type }) => type)).toEqual(model.events)
        const ends = events.filter(({ type }) => type !== 'started' && type !== 'progress')
        expect(ends.map(({ type }) => type)).toEqual(isTerminal(read.status) ? [read.status] : [])
        lastId = events.at(-1)?.id ?? lastId
        before = read
      }
    }),
    { numRuns: 150 },
  )
})
