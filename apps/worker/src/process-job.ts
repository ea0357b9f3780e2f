/**
 * THE path of a chunk through a worker. Every step is safe to repeat: a crash anywhere before the last one runs the
 * chunk again, and what was stored before is found.
 *
 * 1. Take: work that is settled, stored, or past its limit leaves here, before it costs anything. What was told ahead of
 *    the queue is taken already.
 * 2. Compute: the cache once more, claims, batches, the model (compute-items.ts). The cache has each result first. A cancel
 *    or the job's limit ends it early.
 * 3. Store: the record gets the chunk's outputs; the last chunk settles the job.
 * 4. Tell: whoever waits, where the store did not tell them as it settled the job, and the courier.
 * 5. Complete the BullMQ job. BullMQ only carries; nobody ever asks it what happened.
 */
import { hash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { keyMaker } from '@millrace/cache'
import { isMediaInput, isTerminal, readMediaInput, type Task } from '@millrace/contracts'
import type {
  ChunkAhead,
  ChunkDelivery,
  ChunkResult,
  JobFacts,
  JobStore,
  OutputPiece,
  StoreOutcome,
  TakenChunk,
} from '@millrace/jobs'
import { allFailed, chunkResult } from './chunk-result.js'
import { Canceled, type ChunksInHand, PastLimit } from './chunks-in-hand.js'
import type { ItemComputer } from './compute-items.js'
import { GivenBack } from './given-back.js'
import type { ItemAnswer, ItemRequest } from './items-in-flight.js'
import { OutputTeller } from './output-teller.js'
import { foresee, type SettledHere, type SettledTeller } from './tell-settled.js'
import { type TellWebhookContext, tellWebhook } from './tell-webhook.js'

export interface ProcessJobContext extends TellWebhookContext {
  alias: string
  task: Task
  modelVersion: string
  store: Pick<JobStore, 'take' | 'storeChunk' | 'settle' | 'appendOutput' | 'readBlob'>
  computer: Pick<ItemComputer, 'compute'>
  inHand: Pick<ChunksInHand, 'take'>
  teller: Pick<SettledTeller, 'tell'>
  now: () => number
  /** Counts what was finished, of a BullMQ job its share, for the drain rate that the worker announces. */
  onStored: (share: number, items: number) => void
  /** Called when every item of a chunk is in the batcher, answered or waited for. */
  onSeen: () => void
}

type Taken = Extract<TakenChunk, { state: 'taken' }>

/** The queue can bring a chunk before its record only where two hosts hold them; it is then there within this time. */
const recordMayLagMs = 5000
/** The record of a chunk told ahead, which its gateway is about to write, is looked for so often, and so long. */
const recordLookMs = 2
const recordDueMs = 500
/** Short for a reader, and few for Redis. */
const outputEveryMs = 50

/** Never throws; resolves when the delivery has ended, one way or the other. */
export async function processJob(delivery: ChunkDelivery, context: ProcessJobContext): Promise<void> {
  const { jobId, run, chunk, attempt } = delivery
  const { alias: model, store, now, emit } = context
  const inHand = context.inHand.take(jobId)
  try {
    const taken = delivery.ahead ? begun(delivery.ahead) : await store.take(delivery, attempt, now())
    if (taken.state !== 'taken') return await passOver(taken, delivery, context)
    const { facts, items, startedAtMs, settleByMs } = taken
    const { requestId } = facts
    const queueMs = startedAtMs - facts.createdAtMs
    emit({ type: 'chunk-taken', model, jobId, chunk, requestId, items: items.length, queueMs })
    if (settleByMs !== null) inHand.endIn(settleByMs - now() + 1)
    // A later try may follow a crash between the start and its telling.
    if (taken.first || attempt > 1) await tellWebhook(facts, run, 'job.started', context)
    const result = await compute(delivery, taken, inHand.signal, context)
    await storeAndTell(result, delivery, taken, context)
    await delivery.complete()
  } catch (error) {
    // Taken once more: what became of it, its record says.
    if (error instanceof PastLimit) await processJob(delivery, context)
    else await endFailed(delivery, error, context)
  } finally {
    inHand.release()
  }
}

/** Told ahead: its record is written as started, perhaps only while it is computed, so there is nothing to take. */
function begun({ facts, items }: ChunkAhead): Taken {
  return { state: 'taken', facts, items, startedAtMs: facts.createdAtMs, settleByMs: null, first: false }
}

/** Not worth computing: nothing of it is left to do, but what a crash may have left untold. */
async function passOver(
  taken: Exclude<TakenChunk, Taken>,
  delivery: ChunkDelivery,
  context: ProcessJobContext,
): Promise<void> {
  const { jobId, run, chunk, ageMs, lastAttempt } = delivery
  context.emit({ type: 'chunk-passed-over', model: context.alias, jobId, chunk, why: taken.state })
  if (taken.state === 'gone' && ageMs < recordMayLagMs && !lastAttempt) {
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
  { facts, items }: Taken,
  signal: AbortSignal,
  context: ProcessJobContext,
): Promise<ChunkResult> {
  if (delivery.givenUp !== undefined) return allFailed(delivery, facts, items, delivery.givenUp)
  const { computer, store, onSeen } = context
  const requests = requestsOf(delivery, { facts, items }, context)
  const job = { id: facts.id, slots: facts.slots, run: delivery.run }
  const tell = (piece: OutputPiece) => store.appendOutput(job, piece)
  const teller = new OutputTeller({ everyMs: outputEveryMs, tell })
  const onText = (place: number, text: string) => teller.hear(items[place]?.slot ?? 0, text)
  const outcomes = await Promise.allSettled(computer.compute(requests, { signal, onSeen, onText }))
  // Before the outputs are stored: their event is the last one.
  if (signal.aborted) teller.drop()
  else await teller.end()
  const answers: ItemAnswer[] = []
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') answers.push(outcome.value)
    else if (isNoFault(outcome.reason) || !delivery.lastAttempt) throw outcome.reason
    else return allFailed(delivery, facts, items, 'the model could not be run')
  }
  return chunkResult(delivery, facts, items, answers)
}

/** What the chunk's items are to the model, and by which key an equal one is found. */
function requestsOf(
  { jobId, run, ahead }: ChunkDelivery,
  { facts, items }: Pick<Taken, 'facts' | 'items'>,
  { modelVersion, task, store }: ProcessJobContext,
): ItemRequest[] {
  const { scope, truncate, params, priority, unshared } = facts
  if (unshared) {
    return items.map(({ slot, input }) => {
      const key = `${jobId}:${run}:${slot}`
      // The same at each try of this run, so that what was told of it stays true.
      const seed = Number.parseInt(hash('sha256', key).slice(0, 8), 16)
      return { key, input, truncate, params: { ...params, seed }, priority, unshared }
    })
  }
  // The key is made here, from this worker's own model version: a gateway may still know an older one.
  const key = keyMaker({ scope, modelVersion, task, options: { truncate, ...params } })
  const blobOf = (input: string) => () => store.readBlob(jobId, readMediaInput(input).digest)
  return items.map(({ input }) => {
    const own = key(input)
    return {
      ...{ key: own, input, truncate, params, priority },
      ...(ahead?.claimed === own ? { claimed: true } : {}),
      ...(isMediaInput(input) ? { blob: blobOf(input) } : {}),
    }
  })
}

function isNoFault(reason: unknown): boolean {
  return [GivenBack, Canceled, PastLimit].some((one) => reason instanceof one)
}

async function storeAndTell(
  result: ChunkResult,
  { attempt, share, ahead }: ChunkDelivery,
  taken: Taken,
  context: ProcessJobContext,
): Promise<void> {
  const { jobId, chunk, failed, results } = result
  const { requestId } = taken.facts
  const atMs = context.now()
  const foreseen = foresee(result, attempt, taken, atMs)
  const store = () => context.store.storeChunk(result, atMs, foreseen)
  const outcome = await (ahead ? onceRecorded(store) : store())
  context.emit({ type: 'chunk-stored', model: context.alias, jobId, chunk, requestId, failed })
  // What is not in now, another delivery of the chunk has stored and counted, or nobody wants any more.
  if (outcome.state === 'more' || outcome.state === 'settled-now') context.onStored(share, results.size)
  if (outcome.state !== 'settled-now') return
  const { facts, progress } = outcome
  const told = foreseen !== undefined && progress.status === 'succeeded'
  await tell({ facts, progress, results }, told, context)
}

/** Stores what was computed ahead of its record: tried until that is there, or is not to be expected any more. */
async function onceRecorded(store: () => Promise<StoreOutcome>): Promise<StoreOutcome> {
  let outcome = await store()
  for (let waitedMs = 0; outcome.state === 'gone' && waitedMs < recordDueMs; waitedMs += recordLookMs) {
    await setTimeout(recordLookMs)
    outcome = await store()
  }
  return outcome
}

/** A job that passed its limit: settled without computing anything more. */
async function expire(facts: JobFacts, run: number, context: ProcessJobContext): Promise<void> {
  const error = { code: 'job_expired', detail: 'the job passed its limit before it was done' } as const
  const outcome = await context.store.settle({ ...facts, run }, 'expired', error, context.now())
  if (outcome.state !== 'settled-now') return
  await tell({ facts, progress: outcome.progress, results: new Map() }, false, context)
}

/** @param told whether the store told whoever waits in the step that settled the job */
async function tell(settled: SettledHere, told: boolean, context: ProcessJobContext): Promise<void> {
  const { facts, progress } = settled
  const { status, run } = progress
  const { id: jobId, requestId } = facts
  context.emit({ type: 'job-settled', model: context.alias, jobId, requestId, status })
  if (!told) await context.teller.tell(settled)
  if (isTerminal(status)) await tellWebhook(facts, run, `job.${status}`, context)
}
