/** A job as its client sees it. Written out by hand, as JSON in bytes, around results that may be JSON already. */
import { decodeResult } from '@millrace/cache'
import type { Delivery, ItemError, Job, QueueState } from '@millrace/contracts'
import type { JobIdentity, KnownJob, StoredJob } from '@millrace/jobs'
import { type JsonBytes, jsonBytes } from './json-bytes.js'
import { itemErrorText, type ResultForm, type ResultTexts } from './vector-json.js'

/** What the queue looks like from here, for a job that waits. */
export interface QueueEstimate {
  waiting: number
  chunksPerS: number
  /** That serve its model. */
  workers: number
}

export type JobWithoutOutput = Omit<Job, 'output'>

/** In the place of an item that a settled job has no result of. */
const notComputed: ItemError = { code: 'inference_failed', detail: 'this item was not computed' }

/** @param deliveries tries to deliver its webhook, oldest first */
export function storedJobJson(
  job: StoredJob,
  texts: ResultTexts,
  queue: QueueEstimate,
  deliveries: readonly Delivery[] = [],
): Buffer<ArrayBuffer> {
  const computed = (job.status === 'succeeded' || job.status === 'failed') && job.outputs.size > 0
  return withOutput(viewOf(job, queue, deliveries), (json) => {
    if (computed) writeOutput(json, job, job.outputs, { texts, held: false }, errorOf(job) ?? notComputed)
    else json.text('null')
  })
}

/** @param results by slot, as the result cache hands them out */
export function knownJobJson(
  job: KnownJob,
  results: readonly Buffer[],
  texts: ResultTexts,
): Buffer<ArrayBuffer> {
  const bySlot = new Map(results.entries())
  return withOutput(knownView(job), (json) =>
    writeOutput(json, job, bySlot, { texts, held: true }, notComputed),
  )
}

/** Everything but the output: an entry of a list. */
export function viewOf(
  job: StoredJob,
  queue: QueueEstimate,
  deliveries: readonly Delivery[] = [],
): JobWithoutOutput {
  const waits = job.status === 'queued'
  const misses = job.slotCount - job.knownCount - job.hits - job.joined
  return {
    id: job.id,
    object: 'job',
    status: job.status,
    model: job.model,
    created_at: iso(job.createdAtMs),
    started_at: isoOrNull(job.startedAtMs),
    completed_at: isoOrNull(job.completedAtMs),
    expires_at: iso(job.expiresAtMs),
    error: errorOf(job),
    progress: { done: itemsDone(job), total: job.slots.length },
    queue: waits ? queueState(queue) : null,
    metrics: {
      queue_ms: job.startedAtMs === null ? null : Math.max(0, job.startedAtMs - job.createdAtMs),
      tokenize_ms: job.chunksDone === 0 ? null : job.tokenizeUs / 1000,
      predict_ms: job.chunksDone === 0 ? null : job.predictUs / 1000,
      batch_size: job.chunksDone === 0 ? null : job.batchSize,
      cache: { hits: job.knownCount + job.hits, misses: Math.max(0, misses), joined: job.joined },
    },
    attempts: job.attempts,
    ...asGiven(job),
    webhook: job.webhook && { ...job.webhook, deliveries: [...deliveries] },
  }
}

/** Nobody can say how long it takes until there is a worker. */
export function queueState({ waiting, chunksPerS, workers }: QueueEstimate): QueueState {
  const known = chunksPerS > 0 && workers > 0
  return { position: waiting, eta_ms: known ? Math.round((waiting * 1000) / chunksPerS) : null, workers }
}

function knownView(job: KnownJob): JobWithoutOutput {
  const at = iso(job.createdAtMs)
  return {
    id: job.id,
    object: 'job',
    status: 'succeeded',
    model: job.model,
    created_at: at,
    started_at: at,
    completed_at: at,
    expires_at: iso(job.expiresAtMs),
    error: null,
    progress: { done: job.slots.length, total: job.slots.length },
    queue: null,
    metrics: {
      queue_ms: 0,
      tokenize_ms: 0,
      predict_ms: 0,
      batch_size: 0,
      cache: { hits: job.keys.length, misses: 0, joined: 0 },
    },
    attempts: 0,
    ...asGiven(job),
    webhook: null,
  }
}

function asGiven({ id, priority, metadata }: JobIdentity): Pick<Job, 'priority' | 'metadata' | 'urls'> {
  const self = `/v1/jobs/${id}`
  return { priority, metadata, urls: { get: self, events: `${self}/events`, cancel: `${self}/cancel` } }
}

function withOutput(view: JobWithoutOutput, write: (json: JsonBytes) => void): Buffer<ArrayBuffer> {
  return jsonBytes((json) => {
    json.text(`${JSON.stringify(view).slice(0, -1)},"output":`)
    write(json)
    json.text('}')
  })
}

function writeOutput(
  json: JsonBytes,
  job: Pick<StoredJob, 'single' | 'slots'> & ResultForm,
  results: ReadonlyMap<number, Buffer>,
  { texts, held }: { texts: ResultTexts; held: boolean },
  absent: ItemError,
): void {
  if (!job.single) json.text('[')
  for (const [i, slot] of job.slots.entries()) {
    if (i > 0) json.text(',')
    const bytes = results.get(slot)
    if (bytes) texts.write(json, bytes, job, held)
    else json.text(itemErrorText(absent))
  }
  if (!job.single) json.text(']')
}

/** A failed job says why: what it was settled with, or else what its first item failed with. */
function errorOf(job: StoredJob): Job['error'] {
  if (job.error || job.status !== 'failed') return job.error
  const first = job.outputs.get(job.slots[0] ?? 0)
  const result = first && decodeResult(first)
  if (result?.kind === 'error') return result.error
  return { code: 'inference_failed', detail: 'no item of this job could be computed' }
}

function itemsDone(job: StoredJob): number {
  if (job.chunksDone < job.chunks) return job.slots.filter((slot) => job.outputs.has(slot)).length
  return job.slots.length
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms)
}
