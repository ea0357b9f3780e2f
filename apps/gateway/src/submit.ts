/**
 * The submit journey, without HTTP:
 *
 * 1. Items: duplicates share a slot; each distinct input has its content key.
 * 2. Cache: the in-process LRU, then one MGET. Every item known: the job is answered at once, nothing is queued.
 * 3. Admission: what the fleet cannot do in time is refused.
 * 4. Record first, then the missing items as chunks: whatever dies in between, nothing is queued that nobody knows.
 */
import { keyMaker, type ResultCache } from '@millrace/cache'
import {
  type EmbeddingOptions,
  type Metadata,
  MillraceError,
  type ModelFacts,
  type Task,
  type Webhook,
} from '@millrace/contracts'
import type {
  ChunkQueues,
  JobFacts,
  JobIdentity,
  JobStore,
  KnownJob,
  NewJob,
  SlotInput,
  StoredJob,
} from '@millrace/jobs'
import { freshProgress, storedJob } from '@millrace/jobs'
import { type AdmissionLimits, admit, isNearlyFull } from './admission.js'
import type { Emit } from './events.js'
import type { FleetView } from './fleet-view.js'
import { newJobId } from './job-id.js'

export interface SubmitRequest {
  model: string
  task: Task
  inputs: readonly string[]
  single: boolean
  options: EmbeddingOptions
  priority: number
  metadata: Metadata
  webhook: Webhook | null
  tenant: string
  requestId: string
}

export interface SubmitContext {
  scope: string
  chunkItems: number
  jobTtlMs: number
  knownJobTtlMs: number
  limits: AdmissionLimits
  cache: Pick<ResultCache, 'getMany'>
  store: Pick<JobStore, 'create' | 'rememberKnown' | 'settle'>
  queues: Pick<ChunkQueues, 'add'>
  fleet: Pick<FleetView, 'model' | 'factsOf' | 'queued' | 'memory'>
  now: () => number
  emit: Emit
}

/** `known`: answered in full; `results` by slot. `queued`: accepted; `cached` slots were known. */
export type Submitted =
  | { kind: 'known'; job: KnownJob; results: readonly Buffer[] }
  | { kind: 'queued'; job: StoredJob }

/**
 * @param beforeQueueing called with the id once the job is to be queued, so that nobody listens too late
 * @throws MillraceError queue_full, queue_memory, queue_unavailable
 */
export async function submit(
  request: SubmitRequest,
  context: SubmitContext,
  beforeQueueing: (jobId: string) => void = () => {},
): Promise<Submitted> {
  const { slots, distinct } = slotsOf(request.inputs)
  const keys = await contentKeys(request, distinct, context)
  const found = keys ? await lookUp(request.model, keys, context) : distinct.map(() => undefined)
  if (keys && found.every((result) => result !== undefined)) {
    return answerKnown(request, slots, distinct, keys, found as Buffer[], context)
  }
  const known = new Map<number, Buffer>()
  const missing: SlotInput[] = []
  for (const [slot, input] of distinct.entries()) {
    const result = found[slot]
    if (result) known.set(slot, result)
    else missing.push({ slot, input })
  }
  const chunks = cut(missing, context.chunkItems)
  admitOrSay(request.model, chunks.length, context)
  const job: NewJob = { ...newFacts(request, slots, distinct.length, known.size, context), known, chunks }
  await context.store.create(job)
  beforeQueueing(job.id)
  await queue(job, context)
  context.emit({
    type: 'job-accepted',
    model: job.model,
    jobId: job.id,
    requestId: job.requestId,
    items: slots.length,
    chunks: chunks.length,
  })
  const { known: _known, chunks: _chunks, ...facts } = job
  return { kind: 'queued', job: storedJob(facts, freshProgress(chunks.length), known) }
}

/** `slots[i]` is the index in `distinct` of what item i holds. */
export function slotsOf(inputs: readonly string[]): { slots: number[]; distinct: string[] } {
  const slotOf = new Map<string, number>()
  const slots = inputs.map((input) => {
    const slot = slotOf.get(input) ?? slotOf.size
    slotOf.set(input, slot)
    return slot
  })
  return { slots, distinct: [...slotOf.keys()] }
}

/** Undefined until a worker has said which version of the model the fleet runs: then everything is a miss. */
async function contentKeys(
  { model, task, options }: SubmitRequest,
  distinct: readonly string[],
  { scope, fleet }: SubmitContext,
): Promise<string[] | undefined> {
  const facts = await fleet.factsOf(model)
  if (facts === undefined) return undefined
  return distinct.map(keyMakerOf(facts, { scope, task, truncate: options.truncate }))
}

/** Made once for as long as the facts are the same object: until the next sample of the fleet. */
const keyMakers = new WeakMap<ModelFacts, Map<string, (input: string) => string>>()

function keyMakerOf(
  facts: ModelFacts,
  { scope, task, truncate }: { scope: string; task: Task; truncate: boolean },
): (input: string) => string {
  const makers = keyMakers.get(facts) ?? new Map<string, (input: string) => string>()
  keyMakers.set(facts, makers)
  const name = `${truncate} ${task} ${scope}`
  const maker =
    makers.get(name) ?? keyMaker({ scope, modelVersion: facts.version, task, options: { truncate } })
  makers.set(name, maker)
  return maker
}

async function lookUp(model: string, keys: readonly string[], { cache, emit }: SubmitContext) {
  const { values, lruHits, redisHits } = await cache.getMany(keys)
  emit({ type: 'items-looked-up', model, lruHits, redisHits, misses: keys.length - lruHits - redisHits })
  return values
}

function answerKnown(
  request: SubmitRequest,
  slots: readonly number[],
  inputs: readonly string[],
  keys: readonly string[],
  results: readonly Buffer[],
  context: SubmitContext,
): Submitted {
  const { store, emit, fleet, limits } = context
  const identity = identityOf(request, slots, context)
  // Where the queue Redis is nearly full, its room is for work: the answer then says that it cannot be read again.
  const lifeMs = isNearlyFull(fleet.memory, limits.memoryLimit) ? 0 : context.knownJobTtlMs
  const job: KnownJob = {
    ...identity,
    kind: 'known',
    keys,
    inputs,
    expiresAtMs: identity.createdAtMs + lifeMs,
  }
  // Behind the answer: the client holds the output already.
  if (lifeMs > 0) {
    store.rememberKnown(job).catch((error: Error) => emit({ type: 'remember-failed', jobId: job.id, error }))
  }
  const { model, id: jobId, requestId } = job
  emit({ type: 'job-known', model, jobId, requestId, items: slots.length })
  return { kind: 'known', job, results }
}

function admitOrSay(model: string, chunks: number, { fleet, limits, emit }: SubmitContext): void {
  try {
    admit(chunks, { ...fleet.model(model), memory: fleet.memory }, limits)
  } catch (error) {
    if (error instanceof MillraceError) {
      emit({ type: 'refused', model, code: error.code, retryAfterS: error.retryAfterS ?? 0 })
    }
    throw error
  }
}

function newFacts(
  request: SubmitRequest,
  slots: readonly number[],
  slotCount: number,
  knownCount: number,
  context: SubmitContext,
): JobFacts {
  const identity = identityOf(request, slots, context)
  const deadlineAtMs = identity.createdAtMs + context.limits.deadlineS * 1000
  return {
    ...identity,
    slotCount,
    knownCount,
    deadlineAtMs,
    webhook: request.webhook,
    ttlMs: context.jobTtlMs,
  }
}

/** A new id, and what every job says of itself. */
function identityOf(
  { model, single, options, requestId, tenant, priority, metadata }: SubmitRequest,
  slots: readonly number[],
  { now, scope }: SubmitContext,
): JobIdentity {
  const { encoding, truncate } = options
  return {
    id: newJobId(),
    model,
    tenant,
    scope,
    requestId,
    single,
    encoding,
    truncate,
    slots,
    priority,
    metadata,
    createdAtMs: now(),
  }
}

/** A record whose chunks could not be queued was never accepted: it is settled as failed, as far as Redis can be reached. */
async function queue(job: NewJob, { queues, store, fleet, now }: SubmitContext): Promise<void> {
  try {
    await queues.add(job.model, job.id, job.chunks.length)
    fleet.queued(job.model, job.chunks.length)
  } catch (error) {
    const detail = 'the job could not be queued'
    await store.settle(job, 'failed', { code: 'queue_unavailable', detail }, now()).catch(() => {})
    throw error
  }
}

function cut(items: readonly SlotInput[], size: number): SlotInput[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  )
}
