/**
 * A request whose answer is its results: the same journey as a job's, always waited for, and nobody is told of the job.
 * Knows HTTP only as far as a client may leave.
 */
import { isTerminal, MillraceError } from '@millrace/contracts'
import type { SettledJob } from '@millrace/jobs'
import { cacheScope } from './cache-scope.js'
import { clientGone } from './client-gone.js'
import type { GatewayContext, RequestContext } from './context.js'
import { readJob } from './read-job.js'
import { setHeader } from './set-header.js'
import { rereadMs, settledJob } from './settled-job.js'
import { type SubmitRequest, submit } from './submit.js'

/** nginx's status for a client that left: nobody reads it, but metrics and logs tell it from a fault of ours. */
export const clientClosedRequest = 499

export interface Settled {
  /** `slots[i]` is where the result of input i is. */
  slots: readonly number[]
  /** By slot. */
  results: ReadonlyMap<number, Buffer>
  cache: 'hit' | 'partial' | 'miss'
}

/**
 * @returns undefined where the client left
 * @throws MillraceError what the job was refused or settled with; result_rebuilding or no_worker where it is not settled in time
 */
export async function submitAndSettle(
  c: RequestContext,
  asked: Pick<SubmitRequest, 'model' | 'task' | 'inputs' | 'single' | 'options'>,
  context: GatewayContext,
): Promise<Settled | undefined> {
  const request = waitedFor(c, asked, context)
  const limitMs = context.config.WAIT_LIMIT_S * 1000
  let signal = context.stopping
  let heard: Promise<SettledJob | undefined> = Promise.resolve(undefined)
  // Nobody is told the id of a job that is answered in full: it needs no record to be read again.
  const submitContext = { ...context.submit, knownJobTtlMs: 0 }
  const submitted = await submit(request, submitContext, (jobId) => {
    signal = clientGone(c, context.stopping)
    heard = context.channel.waitFor(jobId, Math.min(limitMs, rereadMs), signal)
    return heard
  })
  if (submitted.kind === 'known') {
    const { job, results } = submitted
    return { slots: job.slots, results: new Map(results.entries()), cache: 'hit' }
  }
  const { job } = submitted
  setHeader(c, 'x-job-id', job.id)
  const read = () => readJob(job.id, job.tenant, context)
  const settled = await settledJob(job.id, limitMs, { ...context, read }, signal, { job, heard })
  if (settled.kind !== 'stored' || !isTerminal(settled.status)) {
    if (signal.aborted && !context.stopping.aborted) return undefined
    throw notYet(request.model, context)
  }
  // A job fails as a whole, or by the failures of its inputs, which say more.
  if (settled.error) throw new MillraceError(settled.error.code, settled.error.detail)
  const cache = settled.knownCount > 0 ? 'partial' : 'miss'
  return { slots: settled.slots, results: settled.outputs, cache }
}

function waitedFor(
  c: RequestContext,
  asked: Pick<SubmitRequest, 'model' | 'task' | 'inputs' | 'single' | 'options'>,
  { config }: GatewayContext,
): SubmitRequest {
  const tenant = c.get('tenant').name
  return {
    ...asked,
    priority: 0,
    metadata: {},
    webhook: null,
    startLimitMs: null,
    lifeLimitMs: null,
    tenant,
    scope: cacheScope(config, tenant),
    repeatable: null,
    requestId: c.get('requestId'),
  }
}

const mostRetryS = 60
const noWorkerRetryS = 10

/** The job goes on: the same request again finds what is computed by then in the cache, and joins what is not. */
function notYet(model: string, { config, fleet, stopping }: GatewayContext): MillraceError {
  if (stopping.aborted) {
    return new MillraceError('shutting_down', 'This replica is stopping; ask again', { retryAfterS: 1 })
  }
  const { waiting, chunksPerS, workers } = fleet.model(model)
  if (workers === 0) {
    const detail = `No worker serves '${model}' right now; the work waits for one, so ask again`
    return new MillraceError('no_worker', detail, { retryAfterS: noWorkerRetryS })
  }
  const eta = chunksPerS > 0 ? Math.ceil(waiting / chunksPerS) : 0
  const detail = `Not computed within ${config.WAIT_LIMIT_S} s; the work goes on, so ask again`
  return new MillraceError('result_rebuilding', detail, {
    retryAfterS: Math.min(mostRetryS, Math.max(1, eta)),
  })
}
