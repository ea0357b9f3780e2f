/**
 * The results that a small record points at. A cache may forget: then they are computed again from the record's own
 * inputs, once for all who ask, and a job that was known stays known.
 */
import { MillraceError } from '@millrace/contracts'
import type { KnownJob } from '@millrace/jobs'
import type { GatewayContext } from './context.js'
import { readJob } from './read-job.js'
import { settledJob } from './settled-job.js'
import { submit } from './submit.js'

/** How long a reader waits while a forgotten result is computed again. */
const rebuildLimitMs = 10_000
const retryAfterS = 5

export class KnownResults {
  readonly #context: GatewayContext
  readonly #rebuilding = new Map<string, Promise<Buffer[]>>()

  constructor(context: GatewayContext) {
    this.#context = context
  }

  /** By slot. @throws MillraceError result_rebuilding, queue_unavailable */
  async of(job: KnownJob): Promise<Buffer[]> {
    const { values } = await this.#context.cache.getMany(job.keys)
    const results = values.filter((value) => value !== undefined)
    if (results.length === job.keys.length) return results
    const running = this.#rebuilding.get(job.id)
    if (running) return running
    const rebuild = this.#rebuild(job).finally(() => this.#rebuilding.delete(job.id))
    this.#rebuilding.set(job.id, rebuild)
    return rebuild
  }

  async #rebuild(job: KnownJob): Promise<Buffer[]> {
    const context = this.#context
    const model = context.config.models.get(job.model)
    if (!model)
      throw new MillraceError('result_rebuilding', 'The model of this job is not configured any more')
    context.emit({ type: 'job-rebuilt', model: job.model, jobId: job.id, requestId: job.requestId })
    const { inputs, requestId, tenant, scope, encoding, truncate, params, priority, metadata } = job
    // What is submitted here is computed, and written out nowhere.
    const options = { encoding, truncate, ...(params === undefined ? {} : { params }) }
    const request = {
      model: job.model,
      task: model.task,
      inputs,
      single: false,
      options,
      requestId,
      tenant,
      priority,
      metadata,
      webhook: null,
      startLimitMs: null,
      lifeLimitMs: null,
      scope,
      repeatable: null,
    }
    const submitted = await submit(request, context.submit).catch((error: unknown) => {
      throw whileReading(error)
    })
    if (submitted.kind === 'known') return [...submitted.results]
    const { id } = submitted.job
    const read = () => readJob(id, tenant, context)
    const settled = await settledJob(id, rebuildLimitMs, { ...context, read }, context.stopping)
    const rebuilt = settled.kind === 'stored' && settled.status === 'succeeded' ? settled : undefined
    // The inputs of a record are distinct: slot i is input i.
    const outputs = inputs.map((_, slot) => rebuilt?.outputs.get(slot)).filter((bytes) => bytes !== undefined)
    if (outputs.length === inputs.length) return outputs
    throw new MillraceError('result_rebuilding', 'The result is being computed again', { retryAfterS })
  }
}

/** A reader did not submit anything: that the queue is full means to it that the result is not there yet. */
function whileReading(error: unknown): unknown {
  if (!(error instanceof MillraceError) || error.code !== 'queue_full') return error
  const options = { cause: error, retryAfterS: error.retryAfterS ?? retryAfterS }
  return new MillraceError('result_rebuilding', 'The result has to be computed again', options)
}
