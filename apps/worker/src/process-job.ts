/**
 * THE path of a chunk through a worker. Every step is safe to repeat: a crash anywhere before the last one runs the
 * chunk again, and what was stored before is found.
 *
 * 1. Take: work that is settled, stored, or past its deadline leaves here, before it costs anything.
 * 2. Compute: the cache once more, claims, batches, the model (compute-items.ts). The cache has each result first.
 * 3. Store: the record gets the chunk's outputs; the last chunk settles the job.
 * 4. Tell: whoever waits.
 * 5. Complete the BullMQ job. BullMQ only carries; nobody ever asks it what happened.
 */
import { encodeError, isErrorResult, keyMaker } from '@millrace/cache'
import type { Task } from '@millrace/contracts'
import type { ChunkDelivery, ChunkResult, JobFacts, JobStore, SlotInput } from '@millrace/jobs'
import type { ItemAnswer, ItemComputer } from './compute-items.js'
import type { Emit } from './events.js'
import { GivenBack } from './given-back.js'
import type { SettledTeller } from './tell-settled.js'

export interface ProcessJobContext {
  alias: string
  task: Task
  modelVersion: string
  store: JobStore
  computer: Pick<ItemComputer, 'compute'>
  teller: SettledTeller
  now: () => number
  emit: Emit
  /** Counts what was finished, for the drain rate that the worker announces. */
  onStored: (items: number) => void
}

/** Never throws; resolves when the delivery has ended, one way or the other. */
export async function processJob(delivery: ChunkDelivery, context: ProcessJobContext): Promise<void> {
  const { jobId, chunk } = delivery
  const { alias: model, store, now, emit } = context
  try {
    const taken = await store.take(jobId, chunk, delivery.attempt, now())
    if (taken.state === 'late') await expire(taken.facts, context)
    if (taken.state !== 'taken') {
      emit({ type: 'chunk-passed-over', model, jobId, chunk, why: taken.state })
      return await delivery.complete()
    }
    const { facts, items } = taken
    const queueMs = taken.startedAtMs - facts.createdAtMs
    emit({
      type: 'chunk-taken',
      model,
      jobId,
      chunk,
      requestId: facts.requestId,
      items: items.length,
      queueMs,
    })
    const result = await compute(delivery, facts, items, context)
    await storeAndTell(result, facts, context)
    await delivery.complete()
  } catch (error) {
    if (error instanceof GivenBack) {
      emit({ type: 'chunk-given-back', model, jobId, chunk })
      return await delivery.giveBack()
    }
    const fault = error instanceof Error ? error : new Error(String(error))
    emit({ type: 'chunk-failed', model, jobId, chunk, lastAttempt: delivery.lastAttempt, error: fault })
    await delivery.fail(fault)
  }
}

/** The chunk's results. On the last try a fault becomes the items' own failure: a job never stays unsettled. */
async function compute(
  delivery: ChunkDelivery,
  facts: JobFacts,
  items: readonly SlotInput[],
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
  const settled = await Promise.allSettled(context.computer.compute(requests))
  const answers: ItemAnswer[] = []
  for (const outcome of settled) {
    if (outcome.status === 'fulfilled') answers.push(outcome.value)
    else if (outcome.reason instanceof GivenBack || !delivery.lastAttempt) throw outcome.reason
    else return allFailed(delivery, facts, items, 'the model could not be run')
  }
  return chunkResult(delivery, facts, items, answers)
}

async function storeAndTell(result: ChunkResult, facts: JobFacts, context: ProcessJobContext): Promise<void> {
  const { store, teller, emit, alias: model, now } = context
  const { jobId, chunk, failed } = result
  const outcome = await store.storeChunk(result, now())
  emit({ type: 'chunk-stored', model, jobId, chunk, requestId: facts.requestId, failed })
  context.onStored(result.results.size)
  if (outcome.state !== 'settled-now') return
  const { progress } = outcome
  emit({ type: 'job-settled', model, jobId, requestId: facts.requestId, status: progress.status })
  await teller.tell({ facts, progress, results: result.results })
}

/** A job nobody took in time: settled without computing anything. */
async function expire(facts: JobFacts, context: ProcessJobContext): Promise<void> {
  const { store, teller, emit, alias: model, now } = context
  const error = { code: 'job_expired', detail: 'no worker took this job before its deadline' } as const
  const outcome = await store.settle(facts, 'expired', error, now())
  if (outcome.state !== 'settled-now') return
  emit({ type: 'job-settled', model, jobId: facts.id, requestId: facts.requestId, status: 'expired' })
  await teller.tell({ facts, progress: outcome.progress, results: new Map() })
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
