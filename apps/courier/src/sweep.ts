/**
 * Looks at jobs that nobody else may be looking at: a limit passes although no worker is up, or a crash came between a
 * job's settling and its webhook. Every look is safe to repeat, and any number of couriers may sweep.
 */
import { isTerminal } from '@millrace/contracts'
import {
  type ChunkQueues,
  type DeliveryLog,
  endJob,
  isLate,
  type JobStore,
  type JobWatch,
  type StoredJob,
  type WebhookQueue,
} from '@millrace/jobs'
import type { Emit } from './events.js'
import { messageId } from './message.js'

export interface SweepContext {
  store: Pick<JobStore, 'read' | 'settle' | 'publish'>
  queues: Pick<ChunkQueues, 'remove'>
  watch: Pick<JobWatch, 'takeDue' | 'at' | 'forget'>
  webhooks: Pick<WebhookQueue, 'add'>
  log: Pick<DeliveryLog, 'read'>
  now: () => number
  emit: Emit
}

const everyMs = 1000
/** A courier that dies with a job taken leaves it to the next one after this long. */
const leaseMs = 30_000
const perSweep = 200
/** A job at work without a limit on its whole life is looked at again and again until it is settled. */
const lookAgainMs = 60_000

export class Sweep {
  readonly #context: SweepContext
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  constructor(context: SweepContext) {
    this.#context = context
    this.#timer = setInterval(() => this.#run(), everyMs)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  #run(): void {
    const { emit } = this.#context
    this.#running ??= sweepOnce(this.#context)
      .catch((error: Error) => emit({ type: 'sweep-failed', error }))
      .finally(() => {
        this.#running = undefined
      })
  }
}

/** @throws MillraceError queue_unavailable; what was not looked at is due again after its lease */
export async function sweepOnce(context: SweepContext): Promise<void> {
  const { watch, store, now } = context
  const takenAtMs = now()
  for (const id of await watch.takeDue(takenAtMs, leaseMs, perSweep)) {
    const job = await store.read(id)
    const nextMs = job?.kind === 'stored' ? await lookAt(job, context) : undefined
    if (nextMs === undefined) await watch.forget(id, takenAtMs + leaseMs)
    else await watch.at(id, nextMs)
  }
}

/** @returns when to look again; undefined when there is nothing more to look for */
async function lookAt(job: StoredJob, context: SweepContext): Promise<number | undefined> {
  const { now, emit } = context
  if (isTerminal(job.status)) return tellIfUntold(job, context)
  if (!isLate(job, now())) return nextLookMs(job, now())
  const error = { code: 'job_expired', detail: 'the job passed its limit before it was done' } as const
  // Before it settles, endJob has the job looked at once more, so that its webhook is told whatever happens here.
  const progress = await endJob(job, 'expired', error, context)
  if (progress) emit({ type: 'job-expired', jobId: job.id, requestId: job.requestId })
  return now() + leaseMs
}

async function tellIfUntold(job: StoredJob, { webhooks, log }: SweepContext): Promise<undefined> {
  const { status } = job
  const event = `job.${status}` as const
  if (!isTerminal(status) || event === 'job.queued' || event === 'job.processing') return
  if (!job.webhook?.events.includes(event)) return
  const data = { job: job.id, run: job.run, event }
  // By its id, not by its event: an earlier run may have ended, and been told of, in the same way.
  const tried = (await log.read(job.id)).some((delivery) => delivery.webhook_id === messageId(data))
  if (!tried) await webhooks.add(data)
}

function nextLookMs(job: StoredJob, nowMs: number): number {
  const startBy = job.status === 'queued' ? job.startByMs : nowMs + lookAgainMs
  return Math.min(startBy, job.settleByMs ?? startBy) + 1
}
