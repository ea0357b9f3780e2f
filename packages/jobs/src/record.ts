/**
 * The record: what a job is, as it lies in the queue Redis. Pure: how fields are named, written and read back; the
 * commands that move it are in job-store.ts.
 */
import {
  type ItemError,
  isTerminal,
  type JobStatus,
  jobStatuses,
  type Metadata,
  type Params,
  type Webhook,
} from '@millrace/contracts'

/** What every job says of itself, however it is answered. Times are Unix milliseconds. */
export interface JobIdentity {
  id: string
  model: string
  /** Whose job it is: nobody else can read it. */
  tenant: string
  /** Whose results it may share; part of every content key. */
  scope: string
  requestId: string
  /** Whether the client gave `input` (one result) or `inputs` (an array). */
  single: boolean
  truncate: boolean
  /** What else decides a result, by the task's own names; absent: nothing does. */
  params?: Params
  /** Its results are drawn anew, each with a seed of its own: not looked up, not joined, not kept. */
  unshared?: true
  /** How results are written out; none of it decides one. Absent: all labels, and a score between 0 and 1. */
  encoding: 'float' | 'base64'
  topK?: number
  rawScores?: boolean
  /** `slots[i]` is the distinct input that item i uses; duplicates share a slot. */
  slots: readonly number[]
  priority: number
  metadata: Metadata
  createdAtMs: number
}

/** What a queued job is made of; written once at submit and never changed. */
export interface JobFacts extends JobIdentity {
  /** Distinct inputs, and how many of them the cache knew at submit. */
  slotCount: number
  knownCount: number
  /** From submit, and from each retry: not taken by then, not settled by then (null: no such limit), it expires. */
  startLimitMs: number
  lifeLimitMs: number | null
  webhook: Webhook | null
  /** Digest of the request, where a client may send it again under the same id. */
  requestDigest: string | null
  /** How long the job can be read after it is settled. */
  ttlMs: number
}

/** A slot and its exact input, as queued. */
export interface SlotInput {
  slot: number
  input: string
}

export interface NewJob extends JobFacts {
  /** Results known from the cache at submit, by slot: kept, because a cache may forget. */
  known: ReadonlyMap<number, Buffer>
  /** What is queued, already cut into chunks. None: the job is settled as it is written. */
  chunks: readonly (readonly SlotInput[])[]
  /** Images and recordings among the queued inputs, by digest: as long-lived as these, and in no BullMQ job. */
  blobs?: ReadonlyMap<string, Buffer>
}

/** The part of a record that changes while the job lives. */
export interface JobProgress {
  status: JobStatus
  /** 0, and one more for each retry. Chunks of an earlier run are passed over. */
  run: number
  startByMs: number
  settleByMs: number | null
  startedAtMs: number | null
  completedAtMs: number | null
  attempts: number
  chunks: number
  chunksDone: number
  /** Distinct inputs that a worker found in the cache, or joined while another worker computed them. */
  hits: number
  joined: number
  tokenizeUs: number
  predictUs: number
  /** Largest batch that held an item of this job. */
  batchSize: number
  error: ItemError | null
}

export interface StoredJob extends JobFacts, JobProgress {
  kind: 'stored'
  /** Until when it can be read, while it is settled or waits. */
  expiresAtMs: number
  /** Item result bytes by slot. */
  outputs: ReadonlyMap<number, Buffer>
}

/** A job answered in full at submit: it points at content keys, and holds its inputs in case the cache forgets. */
export interface KnownJob extends JobIdentity {
  kind: 'known'
  /** Content key and exact input of each slot. */
  keys: readonly string[]
  inputs: readonly string[]
  expiresAtMs: number
}

const jobKey = (id: string, part: string) => `mr:{${id}}:${part}`

/** Every key of a job, in one hash tag. */
export function keysOf(id: string): Record<'record' | 'inputs' | 'outputs' | 'events' | 'blobs', string> {
  return {
    record: jobKey(id, 'record'),
    inputs: jobKey(id, 'in'),
    outputs: jobKey(id, 'out'),
    events: jobKey(id, 'events'),
    blobs: jobKey(id, 'blobs'),
  }
}

/** Life of a record that nobody has settled: as long as it may wait, then as long as it may be read. */
export function unsettledLifeMs(facts: Pick<JobFacts, 'startLimitMs' | 'lifeLimitMs' | 'ttlMs'>): number {
  return Math.max(facts.startLimitMs, facts.lifeLimitMs ?? 0) + facts.ttlMs
}

/** The record outlives what it is the record of, so that who asks too late is told that, and not that there was none. */
export function recordLifeMs(lifeMs: number): number {
  return lifeMs * 2
}

/** When a job that is submitted, or tried again, at this moment has to be taken and settled. */
export function limitsFrom(
  { startLimitMs, lifeLimitMs }: Pick<JobFacts, 'startLimitMs' | 'lifeLimitMs'>,
  nowMs: number,
): Pick<JobProgress, 'startByMs' | 'settleByMs'> {
  return { startByMs: nowMs + startLimitMs, settleByMs: lifeLimitMs === null ? null : nowMs + lifeLimitMs }
}

/** Whether the time to read this job is over; its record is then all that is left of it. Never while it is worked on. */
export function isGone(job: { expiresAtMs: number; status?: JobStatus }, nowMs: number): boolean {
  return job.status !== 'processing' && nowMs > job.expiresAtMs
}

/** Whether a limit of this unsettled job has passed. */
export function isLate(job: JobProgress, nowMs: number): boolean {
  if (isTerminal(job.status)) return false
  if (job.status === 'queued' && nowMs > job.startByMs) return true
  return job.settleByMs !== null && nowMs > job.settleByMs
}

export function factsOf(job: NewJob): JobFacts {
  const { known: _known, chunks: _chunks, blobs: _blobs, ...facts } = job
  return facts
}

export function parseFacts(json: string): JobFacts {
  return JSON.parse(json) as JobFacts
}

export function chunkPayload(chunk: readonly SlotInput[]): string {
  return JSON.stringify(chunk.map(({ slot, input }) => [slot, input]))
}

export function parseChunk(payload: string): SlotInput[] {
  return (JSON.parse(payload) as [number, string][]).map(([slot, input]) => ({ slot, input }))
}

/** The state of a job that was accepted this moment. */
export function freshProgress(
  chunks: number,
  limits: Pick<JobProgress, 'startByMs' | 'settleByMs'>,
): JobProgress {
  return {
    status: 'queued',
    run: 0,
    ...limits,
    startedAtMs: null,
    completedAtMs: null,
    attempts: 0,
    chunks,
    chunksDone: 0,
    hits: 0,
    joined: 0,
    tokenizeUs: 0,
    predictUs: 0,
    batchSize: 0,
    error: null,
  }
}

/** Facts, progress and outputs put together as one job. */
export function storedJob(
  facts: JobFacts,
  progress: JobProgress,
  outputs: ReadonlyMap<number, Buffer>,
): StoredJob {
  const expiresAtMs =
    progress.completedAtMs === null
      ? Math.max(progress.startByMs, progress.settleByMs ?? 0) + facts.ttlMs
      : progress.completedAtMs + facts.ttlMs
  return { kind: 'stored', ...facts, ...progress, expiresAtMs, outputs }
}

/** Reads the changing part of a record from its Redis fields. Plain code: a worker does this for every job it settles. */
export function progressOf(fields: Record<string, string>): JobProgress {
  const count = (name: string) => Number(fields[name] ?? 0)
  const time = (name: string) => (fields[name] === undefined ? null : Number(fields[name]))
  const status = jobStatuses.find((one) => one === fields.status)
  if (status === undefined) throw new Error(`a record with the status '${fields.status}'`)
  return {
    status,
    run: count('run'),
    startByMs: count('startBy'),
    settleByMs: time('settleBy'),
    startedAtMs: time('started'),
    completedAtMs: time('completed'),
    attempts: count('attempts'),
    chunks: count('chunks'),
    chunksDone: count('chunksDone'),
    hits: count('hits'),
    joined: count('joined'),
    tokenizeUs: count('tokenizeUs'),
    predictUs: count('predictUs'),
    batchSize: count('batchSize'),
    error: fields.error === undefined ? null : (JSON.parse(fields.error) as ItemError),
  }
}

/** A flat list of fields and values, as scripts answer it, as an object. */
export function fieldsOfFlat(flat: readonly (string | Buffer)[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) fields[String(flat[i])] = String(flat[i + 1])
  return fields
}
