/** Waiting for a job to be settled: the message first, the record as the truth, and a slow re-read as a safety net. */
import { isTerminal } from '@millrace/contracts'
import type { JobStore, KnownJob, SettledChannel, SettledJob, StoredJob } from '@millrace/jobs'
import { storedJob } from '@millrace/jobs'

export interface WaitContext {
  store: Pick<JobStore, 'read'>
  channel: Pick<SettledChannel, 'waitFor'>
  now: () => number
}

/** A message can be missed; the record cannot: after this long without one it is read, and the wait goes on. */
export const rereadMs = 5000

/**
 * The job as it is once it is settled, or as it is when the limit or the signal comes first.
 * @param heard a wait that was registered before the job was queued
 * @param fresh the job as it was accepted: spares the reading where the message says it all
 * @returns undefined when nobody knows the job
 */
export async function settledJob(
  jobId: string,
  limitMs: number,
  context: WaitContext,
  signal: AbortSignal,
  fresh?: { job: StoredJob; heard: Promise<SettledJob | undefined> },
): Promise<StoredJob | KnownJob | undefined> {
  const { store, channel, now } = context
  const endMs = now() + limitMs
  const slice = () => channel.waitFor(jobId, Math.max(1, Math.min(rereadMs, endMs - now())), signal)
  if (fresh) {
    const message = await fresh.heard
    if (message) return withMessage(fresh.job, message) ?? store.read(jobId)
  }
  for (;;) {
    const left = endMs - now()
    // Registered before the record is read, so that nothing settles in between unheard.
    const heard = left > 0 && !signal.aborted ? slice() : undefined
    const job = await store.read(jobId)
    if (!job || job.kind === 'known' || isTerminal(job.status) || !heard) return job
    await heard
  }
}

function withMessage(job: StoredJob, { progress, outputs }: SettledJob): StoredJob | undefined {
  return outputs ? storedJob(job, progress, new Map([...job.outputs, ...outputs])) : undefined
}
