/**
 * The submit journey, without HTTP:
 *
 * 1. Items: duplicates share a slot; each distinct input has its content key.
 * 2. Cache: the in-process LRU, then one MGET. Every item known: the job is answered at once, nothing is queued. A single
 *    small input that is missing is told an idle worker in the same round trip (ahead.ts).
 * 3. Admission: what the fleet cannot do in time is refused.
 * 4. Record first, then the missing items as chunks: whatever dies in between, nothing is queued that nobody knows.
 *
 * A request that may be sent again names its job's id; a repeat finds the first one's job and changes nothing.
 */
import { keyMaker, type ResultCache } from '@millrace/cache'
import {
  type Metadata,
  type ModelFacts,
  readMediaInput,
  type Task,
  type TaskContract,
  taskContracts,
  type Webhook,
} from '@millrace/contracts'
import {
  type ChunkQueues,
  freshProgress,
  type JobFacts,
  type JobIdentity,
  type JobList,
  type JobStore,
  type JobWatch,
  type KnownJob,
  limitsFrom,
  type NewJob,
  type SlotInput,
  type StoredJob,
  storedJob,
  type WebhookQueue,
} from '@millrace/jobs'
import { acceptJob, bytesOf, earlierJob } from './accept-job.js'
import { type AdmissionLimits, isNearlyFull } from './admission.js'
import { admitOrSay } from './admit-or-say.js'
import type { Ahead, Errand } from './ahead.js'
import type { Emit } from './events.js'
import type { FleetView } from './fleet-view.js'
import type { Gathering } from './gathering.js'
import { newJobId } from './job-id.js'

/** `truncate` and `params` decide the results; the others how they are written out. */
export type SubmitOptions = Pick<
  JobIdentity,
  'truncate' | 'params' | 'unshared' | 'encoding' | 'topK' | 'rawScores'
>

export interface SubmitRequest {
  model: string
  task: Task
  inputs: readonly string[]
  /** Files of the inputs that are images or recordings. */
  blobs?: ReadonlyMap<string, Buffer>
  single: boolean
  options: SubmitOptions
  priority: number
  metadata: Metadata
  webhook: Webhook | null
  /** Milliseconds from now; null: the gateway's own limit, or none. */
  startLimitMs: number | null
  lifeLimitMs: number | null
  tenant: string
  /** Whose results it may share. */
  scope: string
  requestId: string
  /** Where the client may send the request again: the job's id, and a digest of what was asked for. */
  repeatable: { id: string; digest: string } | null
}

export interface SubmitContext {
  chunkItems: number
  jobTtlMs: number
  knownJobTtlMs: number
  /** Of a job with a webhook: as long as its deliveries may take. */
  webhookJobTtlMs: number
  limits: AdmissionLimits
  cache: Pick<ResultCache, 'getMany' | 'getOrAsk'>
  store: Pick<JobStore, 'create' | 'createTogether' | 'read' | 'rememberKnown' | 'settle'>
  queues: Pick<ChunkQueues, 'add'>
  list: Pick<JobList, 'add' | 'addTogether'>
  watch: Pick<JobWatch, 'at'>
  webhooks: Pick<WebhookQueue, 'add'>
  fleet: Pick<FleetView, 'model' | 'factsOf' | 'queued' | 'memory' | 'refresh'>
  gathering: Pick<Gathering, 'join'>
  ahead: Pick<Ahead, 'errand'>
  now: () => number
  emit: Emit
}

/**
 * `known`: answered in full, with a small record; `results` by slot. `accepted`: it has a record of its own, and may be
 * settled already. `repeated`: the job of an earlier request with the same id.
 */
export type Submitted =
  | { kind: 'known'; job: KnownJob; results: readonly Buffer[] }
  | { kind: 'accepted' | 'repeated'; job: StoredJob }

/**
 * @param beforeQueueing where a client waits: called with the id once the job is to be queued, so that nobody listens too
 * late; what it answers ends with the waiting
 * @throws MillraceError queue_full, queue_memory, no_worker, queue_unavailable, idempotency_mismatch
 */
export async function submit(
  request: SubmitRequest,
  context: SubmitContext,
  beforeQueueing?: (jobId: string) => Promise<unknown>,
): Promise<Submitted> {
  const input = beforeQueueing && inputToTellAhead(request)
  const errand = input === undefined ? undefined : context.ahead.errand(request.model, input)
  if (!errand) return submitWith(undefined, request, context, beforeQueueing)
  let waiting: Promise<unknown> = Promise.resolve()
  try {
    return await submitWith(errand, request, context, (jobId) => {
      waiting = beforeQueueing?.(jobId) ?? waiting
    })
  } finally {
    waiting.finally(() => errand.end()).catch(() => {})
  }
}

async function submitWith(
  errand: Errand | undefined,
  request: SubmitRequest,
  context: SubmitContext,
  beforeQueueing?: (jobId: string) => unknown,
): Promise<Submitted> {
  const repeated = await earlierJob(request, context)
  if (repeated) return { kind: 'repeated', job: repeated }
  const { slots, distinct } = request.options.unshared ? eachItsOwn(request.inputs) : slotsOf(request.inputs)
  const keys = await contentKeys(request, distinct, context)
  let facts: JobFacts | undefined
  const factsAhead = () => (facts ??= newFacts(request, slots, 1, 0, context))
  const { found, asked } = keys
    ? await lookUp(request.model, keys, context, errand, factsAhead)
    : { found: distinct.map(() => undefined), asked: false }
  if (keys && isLight(request) && found.every((result) => result !== undefined)) {
    return answerKnown(request, slots, distinct, keys, found as Buffer[], context)
  }
  const known = new Map<number, Buffer>()
  const missing: SlotInput[] = []
  for (const [slot, input] of distinct.entries()) {
    const result = found[slot]
    if (result) known.set(slot, result)
    else missing.push({ slot, input })
  }
  const { chunkItems = context.chunkItems }: TaskContract = taskContracts[request.task]
  const chunks = cut(missing, Math.min(chunkItems, context.chunkItems))
  const blobs = blobsOf(missing, request)
  if (chunks.length > 0) await admitOrSay(request.model, chunks.length, context, bytesOf(blobs))
  facts ??= newFacts(request, slots, distinct.length, known.size, context)
  const job: NewJob = { known, chunks, ...facts }
  if (blobs.size > 0) job.blobs = blobs
  beforeQueueing?.(job.id)
  if (!(await acceptJob(job, context, asked))) {
    // Another request with this id came first, at the same moment.
    const first = await earlierJob(request, context)
    if (first) return { kind: 'repeated', job: first }
  }
  context.emit({
    type: 'job-accepted',
    model: job.model,
    jobId: job.id,
    requestId: job.requestId,
    items: slots.length,
    chunks: chunks.length,
  })
  const progress = freshProgress(chunks.length, limitsFrom(job, job.createdAtMs))
  const at = job.createdAtMs
  const settled = chunks.length === 0 && { status: 'succeeded' as const, startedAtMs: at, completedAtMs: at }
  return { kind: 'accepted', job: storedJob(facts, { ...progress, ...settled }, known) }
}

/** What has nothing to be remembered but its output: then a hit needs no record of its own. */
function isLight({ webhook, repeatable, blobs }: SubmitRequest): boolean {
  // A small record computes again what a cache forgot, from inputs that it holds whole: files are not kept for that.
  return webhook === null && repeatable === null && blobs === undefined
}

/** The only input, where it has nothing that its record must say before it is computed. */
function inputToTellAhead(request: SubmitRequest): string | undefined {
  const { inputs, options, task, startLimitMs, lifeLimitMs } = request
  const [input, more] = inputs
  const limited = startLimitMs !== null || lifeLimitMs !== null
  // Of a text that grows, the record keeps the events.
  const grows = 'max_new_tokens' in taskContracts[task].params
  return more !== undefined || limited || grows || options.unshared || !isLight(request) ? undefined : input
}

/** By digest: only of what has to be computed. */
function blobsOf(missing: readonly SlotInput[], { blobs }: SubmitRequest): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const { input } of missing) {
    const bytes = blobs?.get(input)
    if (bytes) found.set(readMediaInput(input).digest, bytes)
  }
  return found
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

/** Where results are drawn, equal inputs have results of their own. */
function eachItsOwn(inputs: readonly string[]): { slots: number[]; distinct: string[] } {
  return { slots: inputs.map((_, i) => i), distinct: [...inputs] }
}

/** Undefined where results are not shared, and until a worker has said which version of the model the fleet runs: then everything is a miss. */
async function contentKeys(
  { model, task, options, scope }: SubmitRequest,
  distinct: readonly string[],
  { fleet }: SubmitContext,
): Promise<string[] | undefined> {
  if (options.unshared) return undefined
  const facts = await fleet.factsOf(model)
  if (facts === undefined) return undefined
  return distinct.map(keyMakerOf(facts, { scope, task, options }))
}

/** Made once for as long as the facts are the same object: until the next sample of the fleet. */
const keyMakers = new WeakMap<ModelFacts, Map<string, (input: string) => string>>()

function keyMakerOf(
  facts: ModelFacts,
  { scope, task, options }: Pick<SubmitRequest, 'scope' | 'task' | 'options'>,
): (input: string) => string {
  const makers = keyMakers.get(facts) ?? new Map<string, (input: string) => string>()
  keyMakers.set(facts, makers)
  const { truncate, params } = options
  const name = `${truncate} ${task} ${scope}${params ? JSON.stringify(params) : ''}`
  const maker =
    makers.get(name) ??
    keyMaker({ scope, modelVersion: facts.version, task, options: { truncate, ...params } })
  makers.set(name, maker)
  return maker
}

async function lookUp(
  model: string,
  keys: readonly string[],
  { cache, emit }: SubmitContext,
  errand: Errand | undefined,
  factsOf: () => JobFacts,
): Promise<{ found: (Buffer | undefined)[]; asked: boolean }> {
  const [key] = keys
  if (errand && key !== undefined) {
    const got = await cache.getOrAsk(key, errand.ask(factsOf))
    if (got.state === 'unheard') errand.unheard()
    const hit = got.state === 'hit'
    const lruHits = hit && got.inProcess ? 1 : 0
    emit({ type: 'items-looked-up', model, lruHits, redisHits: hit ? 1 - lruHits : 0, misses: hit ? 0 : 1 })
    return { found: [hit ? got.value : undefined], asked: got.state === 'asked' }
  }
  const { values, lruHits, redisHits } = await cache.getMany(keys)
  emit({ type: 'items-looked-up', model, lruHits, redisHits, misses: keys.length - lruHits - redisHits })
  return { found: values, asked: false }
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
    kind: 'known',
    keys,
    inputs,
    expiresAtMs: identity.createdAtMs + lifeMs,
    ...identity,
  }
  // Behind the answer: the client holds the output already.
  if (lifeMs > 0) {
    store.rememberKnown(job).catch((error: Error) => emit({ type: 'remember-failed', jobId: job.id, error }))
  }
  const { model, id: jobId, requestId } = job
  emit({ type: 'job-known', model, jobId, requestId, items: slots.length })
  return { kind: 'known', job, results }
}

function newFacts(
  request: SubmitRequest,
  slots: readonly number[],
  slotCount: number,
  knownCount: number,
  context: SubmitContext,
): JobFacts {
  const { webhook, repeatable, lifeLimitMs } = request
  return {
    slotCount,
    knownCount,
    startLimitMs: request.startLimitMs ?? Math.max(context.limits.deadlineS * 1000, lifeLimitMs ?? 0),
    lifeLimitMs,
    webhook,
    requestDigest: repeatable?.digest ?? null,
    ttlMs: webhook ? Math.max(context.jobTtlMs, context.webhookJobTtlMs) : context.jobTtlMs,
    // Last: V8 makes many fields behind a spread one by one, at ten times the cost.
    ...identityOf(request, slots, context),
  }
}

/** What every job says of itself. */
function identityOf(request: SubmitRequest, slots: readonly number[], { now }: SubmitContext): JobIdentity {
  const { model, single, options, requestId, tenant, scope, priority, metadata, repeatable } = request
  return {
    id: repeatable?.id ?? newJobId(),
    model,
    tenant,
    scope,
    requestId,
    single,
    slots,
    priority,
    metadata,
    createdAtMs: now(),
    ...options,
  }
}

function cut(items: readonly SlotInput[], size: number): SlotInput[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  )
}
