/**
 * Tells every gateway which jobs are settled: one message for all that settle in one turn of the event loop, or, where
 * nothing is gained by that, one that the store publishes itself.
 */
import {
  type ChunkResult,
  encodeSettled,
  freshProgress,
  inlineLimitBytes,
  type JobFacts,
  type JobProgress,
  type JobStore,
  limitsFrom,
  settledChannel,
  type TakenChunk,
} from '@millrace/jobs'
import type { Emit } from './events.js'

export interface SettledHere {
  facts: JobFacts
  progress: JobProgress
  /** What this chunk brought; the whole output only where the job has no other part. */
  results: ReadonlyMap<number, Buffer>
}

export class SettledTeller {
  readonly #store: Pick<JobStore, 'publish'>
  readonly #emit: Emit
  #waiting: SettledHere[] = []
  #flushing: Promise<void> | undefined

  constructor(store: Pick<JobStore, 'publish'>, emit: Emit) {
    this.#store = store
    this.#emit = emit
  }

  /** Resolves when it is told. Never throws: whoever missed it reads the record. */
  tell(settled: SettledHere): Promise<void> {
    this.#waiting.push(settled)
    this.#flushing ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#flushing = undefined
        resolve(this.#flush())
      })
    })
    return this.#flushing
  }

  async #flush(): Promise<void> {
    const jobs = this.#waiting
    this.#waiting = []
    const message = encodeSettled(
      jobs.map(({ facts, progress, results }) => ({
        jobId: facts.id,
        progress,
        outputs: progress.status === 'succeeded' && isWhole(facts, results) ? results : null,
      })),
    )
    try {
      await this.#store.publish(settledChannel, message)
    } catch (error) {
      this.#emit({ type: 'tell-failed', error: error instanceof Error ? error : new Error(String(error)) })
    }
  }
}

/**
 * What the store itself is to tell, one round trip earlier, of a job whose only chunk had a forward pass to itself: the
 * fleet is idle enough then that nothing is gained by telling of many jobs at once. Says what the teller would have said.
 * @returns undefined for any other job, whose settling the teller tells
 */
export function aloneMessage(
  { hits, joined, tokenizeUs, predictUs, batchSize, results, failed, run }: ChunkResult,
  attempt: number,
  { facts, startedAtMs }: Pick<Extract<TakenChunk, { state: 'taken' }>, 'facts' | 'startedAtMs'>,
  nowMs: number,
): { channel: string; message: Buffer } | undefined {
  // Of a later run the facts do not tell the limits.
  if (batchSize !== 1 || failed > 0 || run > 0 || !isWhole(facts, results)) return undefined
  const progress: JobProgress = {
    ...freshProgress(1, limitsFrom(facts, facts.createdAtMs)),
    status: 'succeeded',
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

/** Whether these are all results of the job, and small enough to travel in a message. */
function isWhole(facts: JobFacts, results: ReadonlyMap<number, Buffer>): boolean {
  if (results.size < facts.slotCount) return false
  let bytes = 0
  for (const result of results.values()) bytes += result.length
  return bytes <= inlineLimitBytes
}
