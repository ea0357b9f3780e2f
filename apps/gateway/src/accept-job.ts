/**
 * The moment a job is accepted: record, list, queue, in an order in which a crash anywhere loses nothing and doubles
 * nothing; and the repeat of a request that was accepted before.
 */
import { MillraceError } from '@millrace/contracts'
import {
  type ChunksOf,
  type Company,
  groupChars,
  isGone,
  limitsFrom,
  type NewJob,
  type StoredJob,
} from '@millrace/jobs'
import type { SubmitContext, SubmitRequest } from './submit.js'

/** So long a worker that was told ahead is left alone with its job; then any may take it, and passes over what is done. */
const aheadMs = 1000

/**
 * The job that an earlier request made under this request's id. It is listed and queued once more: whatever died between
 * record, list and queue, the repeat completes it, and what is there already stays as it is.
 * @throws MillraceError idempotency_mismatch, job_gone
 */
export async function earlierJob(
  { repeatable, tenant }: Pick<SubmitRequest, 'repeatable' | 'tenant'>,
  { store, queues, list, now }: SubmitContext,
): Promise<StoredJob | undefined> {
  if (repeatable === null) return undefined
  const job = await store.read(repeatable.id)
  if (job === undefined) return undefined
  // Another tenant's job is told from one's own by nothing that is said here.
  if (job.kind === 'known' || job.tenant !== tenant || job.requestDigest !== repeatable.digest) {
    throw new MillraceError(
      'idempotency_mismatch',
      `The job ${repeatable.id} was made by a request that asked for something else`,
    )
  }
  if (isGone(job, now())) {
    throw new MillraceError('job_gone', `The job ${repeatable.id} was made before, and its result is gone`)
  }
  // What a worker took was listed before it was queued; what was settled as it was written, perhaps not.
  const isTaken = job.status !== 'queued' && job.chunks > 0
  if (!isTaken) await list.add(job, now())
  if (job.status === 'queued') await queues.add(job.model, everyChunkOf(job), job.priority)
  return job
}

function everyChunkOf({ id, run, chunks }: StoredJob): ChunksOf {
  return { jobId: id, run, chunks: Array.from({ length: chunks }, (_, chunk) => chunk) }
}

/**
 * Record and chunks are sent on one connection, in this order, and travel together. Answers false where the record was
 * there already.
 * @param asked whether a worker was told of it ahead
 * @throws MillraceError queue_memory, queue_unavailable: then it was not accepted. A repeat of the request completes it;
 * where none is possible it is settled as failed, as far as Redis can be reached
 */
export async function acceptJob(job: NewJob, context: SubmitContext, asked = false): Promise<boolean> {
  const { store, queues, list, watch, webhooks, fleet, gathering, now } = context
  const count = job.chunks.length
  const company = asked ? undefined : companyOf(job, fleet)
  if (company) await gathering.join(fleet.model(job.model).busy)
  // Before the record: a job that nobody looks at would expire in silence; a look at no job costs nothing.
  if (job.webhook || job.lifeLimitMs !== null) await watch.at(job.id, firstLookMs(job))
  // A chunk in company is queued at the end of this turn, behind these two; any other one at once.
  const creating = company ? store.createTogether(job) : store.create(job, asked)
  // Of two requests with one id the later may have other chunks: it queues and lists nothing.
  if (job.requestDigest !== null && !(await creating)) return false
  const listed = company ? list.addTogether(job, now()) : list.add(job, now())
  const sent = [creating, listed] as const
  const chunks = Array.from({ length: count }, (_, chunk) => chunk)
  const queued =
    count > 0
      ? queues.add(job.model, { jobId: job.id, run: 0, chunks }, job.priority, {
          company,
          delayMs: asked ? aheadMs : 0,
        })
      : undefined
  const [created, ...others] = await Promise.allSettled([...sent, queued])
  const fault = [created, ...others].find((outcome) => outcome.status === 'rejected')
  if (fault?.status === 'rejected') {
    const error = { code: 'queue_unavailable', detail: 'the job could not be queued' } as const
    if (job.requestDigest === null) await store.settle(job, 'failed', error, now()).catch(() => {})
    throw fault.reason
  }
  fleet.queued(job.model, count, bytesOf(job.blobs))
  if (count === 0 && job.webhook?.events.includes('job.succeeded')) {
    await webhooks.add({ job: job.id, run: 0, event: 'job.succeeded' })
  }
  return created.status === 'fulfilled' && created.value === true
}

/** Of files that the queue Redis holds beside a record. */
export function bytesOf(blobs: NewJob['blobs']): number {
  return [...(blobs?.values() ?? [])].reduce((sum, { length }) => sum + length, 0)
}

/**
 * None for what a repeat of the request may queue again: its chunks must be known by their own ids. None with files: what
 * stands for them is short, and computing them is not. None where others would not fit in.
 */
function companyOf(job: NewJob, fleet: SubmitContext['fleet']): Company | undefined {
  const [chunk, more] = job.chunks
  if (!chunk || more || job.requestDigest !== null || job.blobs !== undefined) return undefined
  const chars = chunk.reduce((sum, { input }) => sum + input.length, 0)
  if (chars >= groupChars) return undefined
  const { workers, busy } = fleet.model(job.model)
  return { workers: busy ? 1 : workers, chars }
}

/** A moment after its first limit; at once where it is settled as it is written. */
function firstLookMs(job: NewJob): number {
  if (job.chunks.length === 0) return job.createdAtMs + 1000
  const { startByMs, settleByMs } = limitsFrom(job, job.createdAtMs)
  return Math.min(startByMs, settleByMs ?? startByMs) + 1
}
