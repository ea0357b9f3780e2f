/** A job as its owner may see it now: another tenant's is unknown, and one whose time is over says so. */
import { type ErrorCode, MillraceError } from '@millrace/contracts'
import {
  type EndJobContext,
  endJob,
  isGone,
  isLate,
  type JobStore,
  type KnownJob,
  mayBeOnItsWay,
  type StoredJob,
  storedJob,
} from '@millrace/jobs'

export interface ReadJobContext extends EndJobContext {
  store: EndJobContext['store'] & Pick<JobStore, 'read'>
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export function isJobId(id: string): boolean {
  return uuid.test(id)
}

/** @throws MillraceError job_not_found, job_gone, queue_unavailable */
export async function readJob(
  id: string,
  tenant: string,
  context: ReadJobContext,
): Promise<StoredJob | KnownJob> {
  // UUIDs are written in either case; ours are kept in the lower one.
  const job = isJobId(id) ? await find(id.toLowerCase(), context) : undefined
  if (job?.tenant !== tenant) {
    throw new MillraceError('job_not_found', `There is no job '${id}', or it has expired`)
  }
  if (isGone(job, context.now())) {
    throw new MillraceError('job_gone', `The result of job '${id}' was kept until ${iso(job.expiresAtMs)}`)
  }
  return job.kind === 'known' ? job : expireIfLate(job, context)
}

/** Small records are written behind the answer, a few milliseconds at most: who is faster than that looks twice. */
const lookAgainMs = 25

async function find(id: string, { store, now }: ReadJobContext): Promise<StoredJob | KnownJob | undefined> {
  const job = await store.read(id)
  if (job || !mayBeOnItsWay(id, now())) return job
  await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
  return store.read(id)
}

/** The same, where a job answered in full at submit will not do. @throws MillraceError `code` for such a one */
export async function readStoredJob(
  id: string,
  tenant: string,
  code: ErrorCode,
  context: ReadJobContext,
): Promise<StoredJob> {
  const job = await readJob(id, tenant, context)
  if (job.kind === 'stored') return job
  throw new MillraceError(code, `The job '${id}' was answered when it was submitted`)
}

/** A limit passes even when no worker is up to see it: whoever reads the job next settles it. */
export async function expireIfLate(job: StoredJob, context: ReadJobContext): Promise<StoredJob> {
  if (!isLate(job, context.now())) return job
  const late = job.status === 'queued' ? 'no worker took this job in time' : 'this job was not done in time'
  const progress = await endJob(job, 'expired', { code: 'job_expired', detail: late }, context)
  if (progress) return storedJob(job, progress, job.outputs)
  const again = await context.store.read(job.id)
  return again?.kind === 'stored' ? again : job
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
