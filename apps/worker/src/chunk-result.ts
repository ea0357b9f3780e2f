/** What a chunk came to: its results by slot, and what they cost. */
import { encodeError, isErrorResult } from '@millrace/cache'
import type { ChunkRef, ChunkResult, JobFacts, SlotInput } from '@millrace/jobs'
import type { ItemAnswer } from './items-in-flight.js'

/** @param answers in the order of `items` */
export function chunkResult(
  { jobId, run, chunk }: ChunkRef,
  { ttlMs }: JobFacts,
  items: readonly SlotInput[],
  answers: readonly ItemAnswer[],
): ChunkResult {
  const results = new Map<number, Buffer>()
  for (const [i, { slot }] of items.entries()) {
    const answer = answers[i]
    if (answer) results.set(slot, answer.bytes)
  }
  const batches = [...new Set(answers.flatMap(({ batch }) => batch ?? []))]
  return {
    jobId,
    run,
    chunk,
    ttlMs,
    results,
    failed: answers.filter(({ bytes }) => isErrorResult(bytes)).length,
    hits: answers.filter(({ via }) => via === 'hit').length,
    joined: answers.filter(({ via }) => via === 'joined').length,
    tokenizeUs: microseconds(answers.map(({ tokenizeMs }) => tokenizeMs)),
    predictUs: microseconds(batches.map(({ predictMs }) => predictMs)),
    batchSize: Math.max(0, ...batches.map(({ size }) => size)),
  }
}

/** Of a chunk that could not be computed at all. */
export function allFailed(
  ref: ChunkRef,
  facts: JobFacts,
  items: readonly SlotInput[],
  detail: string,
): ChunkResult {
  const bytes = encodeError({ code: 'inference_failed', detail })
  const failure: ItemAnswer = { bytes, via: 'computed', tokenizeMs: 0, batch: null }
  return chunkResult(
    ref,
    facts,
    items,
    items.map(() => failure),
  )
}

/** Of all these milliseconds together; whole, as the record keeps them. */
function microseconds(times: readonly number[]): number {
  return Math.round(1000 * times.reduce((total, ms) => total + ms, 0))
}
