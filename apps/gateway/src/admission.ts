/** Refuses early, with a number: what the fleet cannot do in time, or the queue Redis cannot hold, is not accepted. */
import { MillraceError } from '@millrace/contracts'

export interface AdmissionLimits {
  queueLimitChunks: number
  /** Share of maxmemory, 0..1. */
  memoryLimit: number
  deadlineS: number
  /** Whether a job of a model without a worker is refused. */
  requireWorker: boolean
}

export interface AdmissionState {
  /** Chunks waiting, and chunks finished per second (0: unknown). */
  waiting: number
  chunksPerS: number
  /** Bytes; undefined or a max of 0 means that no limit is known. */
  memory: { used: number; max: number } | undefined
  /** That serve the model now. */
  workers: number
}

const minRetryS = 1
const maxRetryS = 60
/** About what a worker that is being replaced takes to be back. */
const noWorkerRetryS = 10

/** @throws MillraceError queue_memory, no_worker (503) or queue_full (429), each with a `retryAfterS` */
export function admit(chunks: number, state: AdmissionState, limits: AdmissionLimits): void {
  const { waiting, chunksPerS, memory } = state
  if (isNearlyFull(memory, limits.memoryLimit)) {
    // What waits has to be worked off before there is room: half of it is taken as a fair guess.
    throw refusal('queue_memory', 'The queue store is nearly full', secondsFor(waiting / 2, chunksPerS))
  }
  if (state.workers === 0 && limits.requireWorker) {
    throw refusal('no_worker', 'No worker serves this model right now', noWorkerRetryS)
  }
  const excess = waiting + chunks - limits.queueLimitChunks
  if (excess > 0) {
    throw refusal('queue_full', `${waiting} chunks are waiting already`, secondsFor(excess, chunksPerS))
  }
  if (chunksPerS > 0) {
    const tooLateS = (waiting + chunks) / chunksPerS - limits.deadlineS
    if (tooLateS > 0) throw refusal('queue_full', 'The job would pass its deadline while it waits', tooLateS)
  }
}

/** @param limit share of maxmemory, 0..1 */
export function isNearlyFull(memory: AdmissionState['memory'], limit: number): boolean {
  return memory !== undefined && memory.max > 0 && memory.used > memory.max * limit
}

function secondsFor(chunks: number, chunksPerS: number): number {
  return chunksPerS > 0 ? chunks / chunksPerS : maxRetryS / 4
}

function refusal(
  code: 'queue_full' | 'queue_memory' | 'no_worker',
  detail: string,
  seconds: number,
): MillraceError {
  const retryAfterS = Math.min(maxRetryS, Math.max(minRetryS, Math.ceil(seconds)))
  return new MillraceError(code, detail, { retryAfterS })
}
