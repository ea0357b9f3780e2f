/**
 * THE path of a chunk through a worker. Every step is safe to repeat: a crash anywhere before the last one runs the
 * chunk again, and what was stored before is found.
 *
 * 1. Take: work that is settled, stored, or past its deadline leaves here, before it costs anything.
 * 2. Compute: the cache once more, claims, batches, the model (compute-items.ts). The cache has each result first. A cancel
 *    ends it here.
 * 3. Store: the record gets the chunk's outputs; the last chunk settles the job.
 * 4. Tell: whoever waits, and the courier.
 * 5. Complete the BullMQ job. BullMQ only carries; nobody ever asks it what happened.
 */
import { encodeError, isErrorResult, keyMaker } from '@millrace/cache'
import type { JobStatus, Task, WebhookEvent } from '@millrace/contracts'
import {
  type ChunkDelivery,
  type ChunkResult,
  encodeSettled,
  freshProgress,
  type JobFacts,
  type JobProgress,
  type JobStore,
  limitsFrom,
  type SlotInput,
  settledChannel,
  type TakenChunk,
  type WebhookQueue,
} from '@millrace/jobs'
import { Canceled, type CanceledJobs } from './canceled-jobs.js'
import type { ItemAnswer, ItemComputer } from './compute-items.js'
import type { Emit } from './events.js'
import { GivenBack } from './given-back.js'
import { isWhole, type SettledTeller } from './tell-settled.js'

export interface ProcessJobContext {
  alias: string
  task: Task
  modelVersion: string
  store: Pick<JobStore, 'take' | 'storeChunk' | 'settle'>
  computer: Pick<ItemComputer, 'compute'>
  canceled: CanceledJobs
  teller: Pick<SettledTeller, 'tell'>
  webhooks: Pick<WebhookQueue, 'add'>
  now: () => number
  emit: Emit
  /** Counts what was finished, for the drain rate that the worker announces. */
  onStored: (items: number) => void
  /** Called when every item of a chunk is in the batcher, answered or waited for. */
  onSeen: () => void
}

/** A chunk can come before its record only where two hosts hold them; it is then there within this time. */
const recordMayLagMs = 5000

/** Never throws; resolves when the delivery has ended, one way or the other. */
export async function processJob(delivery: ChunkDelivery, context: ProcessJobContext): Promise<void> {
  const { jobId, chunk } = delivery
  const { alias: model, store, canceled, now, emit } = context
  const signal = canceled.take(jobId)
  try {
    const taken = await store.take(delivery, delivery.attempt, now())
    if (taken.state !== 'taken') return await passOver(taken, delivery, context)
    const { facts, items, startedAtMs } = taken
    const queueMs = startedAtMs - facts.createdAtMs
    emit({
      type: 'chunk-taken',
      model,
      jobId,
      chunk,
      requestId: facts.requestId,
      items: items.length,
      queueMs,
    })
    if (taken.first) await tellWebhook(facts, delivery.run, 'job.started', context)
    const result = await compute(delivery, facts, items, signal, context)
    await storeAndTell(result, delivery, taken, context)
    await delivery.complete()
  } catch (error) {
    await endFailed(delivery, error, context)
  } finally {
    canceled.release(jobId)
  }
}

/** Not worth computing: nothing of it is left to do, but what a crash may have left untold. */
async function passOver(
  taken: Exclude<TakenChunk, { state: 'taken' }>,
  delivery: ChunkDelivery,
  context: ProcessJobContext,
): Promise<void> {
  const { jobId, chunk, run } = delivery
  context.emit({ type: 'chunk-passed-over', model: context.alias, jobId, chunk, why: taken.state })
  if (taken.state === 'gone' && delivery.ageMs < recordMayLagMs && !delivery.lastAttempt) {
    return delivery.fail(new Error('the record of this chunk is not there (yet)'))
  }
  if (taken.state === 'late') await expire(taken.facts, run, context)
  if (taken.state === 'settled') await tellWebhook(taken.facts, run, `job.${taken.status}`, context)
  return delivery.complete()
}

async function endFailed(delivery: ChunkDelivery, error: unknown, context: ProcessJobContext): Promise<void> {
  const { jobId, chunk, lastAttempt } = delivery
  const { alias: model, emit } = context
  if (error instanceof GivenBack) {
    emit({ type: 'chunk-given-back', model, jobId, chunk })
    return delivery.giveBack()
  }
  if (error instanceof Canceled) {
    emit({ type: 'chunk-passed-over', model, jobId, chunk, why: 'canceled' })
    return delivery.complete()
  }
  const fault = error instanceof Error ? error : new Error(String(error))
  emit({ type: 'chunk-failed', model, jobId, chunk, lastAttempt, error: fault })
  return delivery.fail(fault)
}

/** The chunk's results. On the last try a fault becomes the items' own failure: a job never stays unsettled. */
async function compute(
  delivery: ChunkDelivery,
  facts: JobFacts,
  items: readonly SlotInput[],
  signal: AbortSignal,
  context: ProcessJobContext,
): Promise<ChunkResult> {
  if (delivery.givenUp !== undefined) return allFailed(delivery, facts, items, delivery.givenUp)
  const { scope, truncate } = facts
  // The key is made here, from this worker's own model version: a gateway may still know an older one.
  const key = keyMaker({
    scope,
    modelVersion: context.modelVersion,
    task: context.task,
    options: { truncate },
  })
  const requests = items.map(({ input }) => ({ key: key(input), input, truncate }))
  const settled = await Promise.allSettled(
    context.computer.compute(requests, { signal, onSeen: context.onSeen }),
  )
  const answers: ItemAnswer[] = []
  for (const outcome of settled) {
    if (outcome.status === 'fulfilled') answers.push(outcome.value)
    else if (isNoFault(outcome.reason) || !delivery.lastAttempt) throw outcome.reason
    else return allFailed(delivery, facts, items, 'the model could not be run')
  }
  return chunkResult(delivery, facts, items, answers)
}

function isNoFault(reason: unknown): boolean {
  return reason instanceof GivenBack || reason instanceof Canceled
}

async function storeAndTell(
  result: ChunkResult,
  delivery: ChunkDelivery,
  taken: Extract<TakenChunk, { state: 'taken' }>,
  context: ProcessJobContext,
): Promise<void> {
  const { store, teller, emit, alias: model, now } = context
  const { facts } = taken
  const { jobId, chunk, run, failed, results } = result
  const atMs = now()
  const alone = aloneMessage(result, delivery, taken, atMs)
  const outcome = await store.storeChunk(result, atMs, alone)
  emit({ type: 'chunk-stored', model, jobId, chunk, requestId: facts.requestId, failed })
  context.onStored(results.size)
  if (outcome.state !== 'settled-now') return
  const { progress } = outcome
  emit({ type: 'job-settled', model, jobId, requestId: facts.requestId, status: progress.status })
  if (!alone || progress.status !== 'succeeded') await teller.tell({ facts, progress, results })
  await tellWebhook(facts, run, webhookEventOf(progress.status), context)
}

/**
 * The message of a job whose only chunk had a forward pass to itself: the fleet is idle enough that nothing is gained by
 * telling of many jobs at once, and the store's own step can tell it, one round trip earlier.
 */
function aloneMessage(
  result: ChunkResult,
  { attempt }: ChunkDelivery,
  { facts, startedAtMs }: Extract<TakenChunk, { state: 'taken' }>,
  nowMs: number,
): { channel: string; message: Buffer } | undefined {
  const { hits, joined, tokenizeUs, predictUs, batchSize, results, failed, run } = result
  if (batchSize !== 1 || failed > 0 || !isWhole(facts, results)) return undefined
  const progress: JobProgress = {
    ...freshProgress(1, limitsFrom(facts, facts.createdAtMs)),
    status: 'succeeded',
    run,
    startedAtMs,
    completedAtMs: nowMs,
    attempts: attempt,
    chunksDone: 1,
    ...{ hits, joined, tokenizeUs, predictUs, batchSize },
  }
  return {
    channel: settledChannel,
    message: encodeSettled([{ jobId: facts.id, progress, outputs: results }]),
  }
}

/** A job nobody took in time: settled without computing anything. */
async function expire(facts: JobFacts, run: number, context: ProcessJobContext): Promise<void> {
  const { store, teller, emit, alias: model, now } = context
  const error = { code: 'job_expired', detail: 'the job passed its limit before it was done' } as const
  const outcome = await store.settle(facts, 'expired', error, now())
  if (outcome.state !== 'settled-now') return
  emit({ type: 'job-settled', model, jobId: facts.id, requestId: facts.requestId, status: 'expired' })
  await teller.tell({ facts, progress: outcome.progress, results: new Map() })
  await tellWebhook(facts, run, 'job.expired', context)
}

/** Queued once, however often it is said. Never throws: what a fault here leaves untold, the courier's sweep finds. */
async function tellWebhook(
  { id, webhook }: JobFacts,
  run: number,
  event: WebhookEvent,
  { webhooks, emit }: ProcessJobContext,
): Promise<void> {
  if (!webhook?.events.includes(event)) return
  await webhooks.add({ job: id, run, event }).catch((error: Error) => emit({ type: 'tell-failed', error }))
}

function webhookEventOf(status: JobStatus): WebhookEvent {
  return status === 'succeeded' ? 'job.succeeded' : 'job.failed'
}

function chunkResult(
  delivery: ChunkDelivery,
  facts: JobFacts,
  items: readonly SlotInput[],
  answers: readonly ItemAnswer[],
): ChunkResult {
  const results = new Map<number, Buffer>()
  for (const [i, { slot }] of items.entries()) {
    const answer = answers[i]
    if (answer) results.set(slot, answer.bytes)
  }
  const batches = new Set(answers.map(({ batch }) => batch).filter((batch) => batch !== null))
  return {
    jobId: facts.id,
    run: delivery.run,
    chunk: delivery.chunk,
    ttlMs: facts.ttlMs,
    results,
    failed: answers.filter(({ bytes }) => isErrorResult(bytes)).length,
    hits: answers.filter(({ via }) => via === 'hit').length,
    joined: answers.filter(({ via }) => via === 'joined').length,
    tokenizeUs: 1000 * sum(answers.map(({ tokenizeMs }) => tokenizeMs)),
    predictUs: 1000 * sum([...batches].map(({ predictMs }) => predictMs)),
    batchSize: Math.max(0, ...[...batches].map(({ size }) => size)),
  }
}

function allFailed(
  delivery: ChunkDelivery,
  facts: JobFacts,
  items: readonly SlotInput[],
  detail: string,
): ChunkResult {
  const bytes = encodeError({ code: 'inference_failed', detail })
  return chunkResult(
    delivery,
    facts,
    items,
    items.map(() => ({ bytes, via: 'computed', tokenizeMs: 0, batch: null })),
  )
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
