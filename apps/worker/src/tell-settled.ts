/** Tells every gateway which jobs are settled: one message for all that settle in one turn of the event loop. */
import {
  encodeSettled,
  inlineLimitBytes,
  type JobFacts,
  type JobProgress,
  type JobStore,
  settledChannel,
} from '@millrace/jobs'
import type { Emit } from './events.js'

interface Settled {
  facts: JobFacts
  progress: JobProgress
  /** What this chunk brought; the whole output only where the job has no other part. */
  results: ReadonlyMap<number, Buffer>
}

export class SettledTeller {
  readonly #store: JobStore
  readonly #emit: Emit
  #waiting: Settled[] = []
  #flushing: Promise<void> | undefined

  constructor(store: JobStore, emit: Emit) {
    this.#store = store
    this.#emit = emit
  }

  /** Resolves when it is told. Never throws: whoever missed it reads the record. */
  tell(settled: Settled): Promise<void> {
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

/** Whether these are all results of the job, and small enough to travel in a message. */
export function isWhole(facts: JobFacts, results: ReadonlyMap<number, Buffer>): boolean {
  if (results.size < facts.slotCount) return false
  let bytes = 0
  for (const result of results.values()) bytes += result.length
  return bytes <= inlineLimitBytes
}
