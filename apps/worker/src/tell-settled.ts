/**
 * Tells every gateway which jobs are settled. What a job comes to with its only chunk is known before it is stored, and the
 * store tells it as it settles it; of all others one message tells that settle in one turn of the event loop.
 */
import {
  type ChunkResult,
  encodeSettled,
  type Foreseen,
  type JobFacts,
  type JobProgress,
  type JobStore,
  limitsFrom,
  settledChannel,
  type TakenChunk,
  travelling,
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
        outputs: progress.status === 'succeeded' && isWhole(facts, results) ? travelling(results) : null,
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
 * How a job is settled whose only chunk this is: the store tells it itself, one round trip earlier, and need not answer with
 * the record. Says what the teller would have said.
 * @returns undefined for any other job, whose settling the teller tells
 */
export function foresee(
  { hits, joined, tokenizeUs, predictUs, batchSize, results, failed, run }: ChunkResult,
  attempt: number,
  { facts, startedAtMs }: Pick<Extract<TakenChunk, { state: 'taken' }>, 'facts' | 'startedAtMs'>,
  nowMs: number,
): Foreseen | undefined {
  // Of a later run the facts do not tell the limits.
  if (failed > 0 || run > 0 || !isWhole(facts, results)) return undefined
  const progress: JobProgress = {
    status: 'succeeded',
    run,
    ...limitsFrom(facts, facts.createdAtMs),
    startedAtMs,
    completedAtMs: nowMs,
    attempts: attempt,
    chunks: 1,
    chunksDone: 1,
    hits,
    joined,
    tokenizeUs,
    predictUs,
    batchSize,
    error: null,
  }
  return { facts, progress }
}

/** Whether these are all results of the job. */
function isWhole(facts: JobFacts, results: ReadonlyMap<number, Buffer>): boolean {
  return results.size === facts.slotCount
}
