/** Waiting for a job to be settled: the message first, the record as the truth, and a slow re-read as a safety net. */
import { isTerminal } from '@millrace/contracts'
import {
  type JobProgress,
  type KnownJob,
  type SettledChannel,
  type SettledJob,
  type StoredJob,
  storedJob,
} from '@millrace/jobs'
import { MadeLast } from './made-last.js'

export interface WaitContext {
  /** The job as it is now, its limits looked at. */
  read: () => Promise<StoredJob | KnownJob>
  channel: Pick<SettledChannel, 'waitFor'>
  now: () => number
}

/** A message can be missed; the record cannot: after this long without one it is read, and the wait goes on. */
export const rereadMs = 15_000

/** What a message says is the same for all who wait for its job, and so is the job that they get: one, rendered once. */
const told = new MadeLast<SettledJob, StoredJob>()

/**
 * The job as it is once it is settled, or as it is when the limit or the signal comes first.
 * @param heard a wait that was registered before the job was queued
 * @param fresh the job as it was accepted: spares the reading where the message says it all
 * @throws whatever `read` throws
 */
export async function settledJob(
  jobId: string,
  limitMs: number,
  context: WaitContext,
  signal: AbortSignal,
  fresh?: { job: StoredJob; heard: Promise<SettledJob | undefined> },
): Promise<StoredJob | KnownJob> {
  const { read, channel, now } = context
  const endMs = now() + limitMs
  if (fresh) {
    const message = await fresh.heard
    if (message) return withMessage(fresh.job, message) ?? read()
  }
  for (;;) {
    const left = endMs - now()
    const waitMs = Math.min(rereadMs, left)
    // Registered before the record is read, so that nothing settles in between unheard.
    const heard = left > 0 && !signal.aborted ? channel.waitFor(jobId, waitMs, signal) : undefined
    const job = await read()
    if (job.kind === 'known' || isTerminal(job.status) || !heard) return job
    const limitMs = msToLimit(job, now())
    // Both: it may have been settled, and heard of, while the record was on its way here.
    const first = limitMs < waitMs ? Promise.race([heard, channel.waitFor(jobId, limitMs, signal)]) : heard
    const message = await first
    const settled = message && withMessage(job, message)
    if (settled) return settled
    // Nobody is left to read it for, and thousands may leave together.
    if (signal.aborted) return job
  }
}

/** Until the job expires of itself; just after that it is read again. */
export function msToLimit(job: JobProgress, nowMs: number): number {
  const startBy = job.status === 'queued' ? job.startByMs : Number.POSITIVE_INFINITY
  return Math.max(1, Math.min(startBy, job.settleByMs ?? startBy) - nowMs + 1)
}

function withMessage(job: StoredJob, message: SettledJob): StoredJob | undefined {
  const { progress, outputs } = message
  if (!outputs) return undefined
  return told.get(message, () => storedJob(job, progress, new Map([...job.outputs, ...outputs])))
}
