/** Jobs and results for the tests of this package: small, complete, and each with an id of its own. */
import { encodeError, encodeVector } from '@millrace/cache'
import type { ChunkResult, JobStore, StoredEvent } from './job-store.js'
import type { NewJob, SlotInput, StoredJob } from './record.js'

export const now = 1_800_000_000_000
export const startLimitMs = 1000
export const ttlMs = 60_000

export const vector = (...values: number[]) => encodeVector(new Float32Array(values))
export const failure = encodeError({ code: 'input_too_long', detail: 'too long' })
export const expired = { code: 'job_expired', detail: 'late' } as const

let serial = 0

/** A job of one chunk with one item, unless `change` says otherwise. */
export function newJob(change: Partial<NewJob> = {}): NewJob {
  return {
    id: `01890000-0000-7000-8000-${(serial++).toString(16).padStart(12, '0')}`,
    model: 'm',
    scope: 'shared',
    tenant: 't',
    priority: 0,
    metadata: {},
    webhook: null,
    requestId: 'req',
    single: false,
    encoding: 'float',
    truncate: false,
    slots: [0],
    slotCount: 1,
    knownCount: 0,
    createdAtMs: now,
    startLimitMs,
    lifeLimitMs: null,
    requestDigest: null,
    ttlMs,
    known: new Map(),
    chunks: [[{ slot: 0, input: 'Café 🙂' }]],
    ...change,
  }
}

/** What makes `newJob` one of `count` chunks with one item each: chunk i holds slot i. */
export function inChunks(count: number): Pick<NewJob, 'slots' | 'slotCount' | 'chunks'> {
  const slots = Array.from({ length: count }, (_, slot) => slot)
  const chunks = slots.map((slot): SlotInput[] => [{ slot, input: `input ${slot}` }])
  return { slots, slotCount: count, chunks }
}

export function result(
  jobId: string,
  chunk: number,
  results: [number, Buffer][],
  failed = 0,
  run = 0,
): ChunkResult {
  const costs = { hits: 1, joined: 2, tokenizeUs: 10, predictUs: 200, batchSize: 4 }
  return { jobId, run, chunk, ttlMs, results: new Map(results), failed, ...costs }
}

/** @throws Error when there is no record */
export async function stored(store: JobStore, id: string): Promise<StoredJob> {
  const job = await store.read(id)
  if (job?.kind !== 'stored') throw new Error(`no record of ${id}`)
  return job
}

/** What has happened to a job by now, after the event `afterId`. @throws Error when there is no record */
export async function eventsOf(store: JobStore, id: string, afterId = '0-0'): Promise<StoredEvent[]> {
  return store.eventsAfter(await stored(store, id), afterId)
}
