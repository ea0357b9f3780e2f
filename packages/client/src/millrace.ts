/**
 * The client: one method per thing the API does. Runs wherever `fetch` does, browsers included. Every wait has a limit and
 * takes an abort signal; what is safe to repeat is repeated, within `retryForMs`.
 */
import type { Job, JobStatus, Model, submitJobSchema } from '@millrace/contracts'
import type { z } from 'zod'
import {
  isSettled,
  isSucceeded,
  jobListOf,
  jobOf,
  type ListedJob,
  modelsOf,
  type SettledJob,
  type SucceededJob,
} from './answers.js'
import { type Clock, systemClock } from './clock.js'
import { JobFailedError, MillraceTimeoutError } from './errors.js'
import { limit } from './limit.js'
import { unexpectedAnswer } from './problem.js'
import type { OnRetry } from './retries.js'
import { type StreamedEvent, streamJob } from './stream-job.js'
import { type SubmitFilesBody, submitForm } from './submit-form.js'
import { Transport } from './transport.js'

/** The body of a submit: `model`, `input` or `inputs`, and what else the contract takes. */
export type SubmitBody = z.input<typeof submitJobSchema>

export interface MillraceOptions {
  /** Where the gateway is, `https://host[/prefix]`. */
  readonly baseUrl: string
  readonly apiKey?: string | undefined
  readonly fetch?: typeof globalThis.fetch
  /** How long a fault that may pass (no connection, 429, 503) is worth new tries; 0: none. Default 60 000. */
  readonly retryForMs?: number
  /** Told of every pause before a new try, for a log or a screen. */
  readonly onRetry?: OnRetry
  readonly clock?: Clock
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface WaitOptions extends CallOptions {
  /** Default 600 000. */
  readonly timeoutMs?: number
}

export interface IdempotencyOptions {
  /**
   * 1-255 printable characters: the same key with the same body is the same job, however often it is sent. Default: a new
   * one per call, so that this call's own retries are safe; null sends none, and then nothing is tried twice.
   */
  readonly idempotencyKey?: string | null
}

export interface SubmitOptions extends CallOptions, IdempotencyOptions {
  /** Whole seconds, 1-60, that the server may hold the answer back for the job to settle. */
  readonly waitS?: number
  /** A UUID of your own as the job's id: submitting it again is the same job. Sent as PUT, without an idempotency key. */
  readonly id?: string
}

export interface ListOptions extends CallOptions {
  readonly status?: JobStatus
  /** Jobs per request. Default: the server's. */
  readonly pageSize?: number
}

const defaultRetryForMs = 60_000
const defaultWaitMs = 600_000
/** One long poll; well below what proxies cut off. */
const pollS = 30
/** A server may wait less than it was asked to (its WAIT_LIMIT_S), down to not at all: then this paces the polls. */
const pollPauseMs = 500

export class Millrace {
  readonly #transport: Transport
  readonly #clock: Clock

  /** @throws TypeError for an address or a key that cannot be used */
  constructor(options: MillraceOptions) {
    this.#clock = options.clock ?? systemClock
    this.#transport = new Transport({
      baseUrl: options.baseUrl,
      apiKey: options.apiKey,
      fetch: options.fetch ?? globalThis.fetch,
      retryForMs: options.retryForMs ?? defaultRetryForMs,
      onRetry: options.onRetry ?? (() => {}),
      clock: this.#clock,
    })
  }

  /**
   * Hands a job in. It is settled already where the cache knew everything, or `waitS` was enough; else wait for it by its id.
   * @throws MillraceApiError, MillraceConnectionError; aborted, the signal's reason: the job may have been accepted
   */
  submit(body: SubmitBody, options: SubmitOptions = {}): Promise<Job> {
    return this.#submit(body, options)
  }

  /**
   * The same, with images or recordings as files.
   * @throws MillraceApiError, MillraceConnectionError; aborted, the signal's reason: the job may have been accepted
   */
  submitFiles(body: SubmitFilesBody, options: SubmitOptions = {}): Promise<Job> {
    return this.#submit(submitForm(body), options)
  }

  async #submit(body: SubmitBody | FormData, options: SubmitOptions): Promise<Job> {
    const { id, waitS, signal } = options
    if (waitS !== undefined && !(Number.isInteger(waitS) && waitS >= 1 && waitS <= 60)) {
      throw new RangeError('waitS must be a whole number from 1 to 60')
    }
    const key = options.idempotencyKey === undefined && id === undefined ? newKey() : options.idempotencyKey
    if (typeof key === 'string' && !/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new RangeError('idempotencyKey must be 1 to 255 printable ASCII characters, no spaces')
    }
    const headers: Record<string, string> = {}
    if (typeof key === 'string') headers['idempotency-key'] = key
    if (waitS !== undefined) headers.prefer = `wait=${waitS}`
    const answer = await this.#transport.call({
      method: id === undefined ? 'POST' : 'PUT',
      path: id === undefined ? '/v1/jobs' : jobPath(id),
      headers,
      body,
      repeatable: typeof key === 'string' || id !== undefined,
      waitS: waitS ?? 0,
      signal,
    })
    return jobOf(answer, id)
  }

  /**
   * Submits and waits for the output. Single items may still have failed: an array then holds `{ error }` in their places.
   * An abort, or the limit, ends the waiting, not the job.
   * @throws JobFailedError when the job ends as failed, canceled or expired; MillraceTimeoutError; as `submit`
   */
  async run(body: SubmitBody, options: WaitOptions & IdempotencyOptions = {}): Promise<SucceededJob> {
    const { timeoutMs = defaultWaitMs, signal: outer, ...idempotency } = options
    let jobId: string | null = null
    const { signal, end } = limit(outer, timeoutMs, () => new MillraceTimeoutError(timeoutMs, jobId))
    try {
      let job = await this.submit(body, { ...idempotency, waitS: waitSeconds(timeoutMs), signal })
      jobId = job.id
      if (!isSettled(job)) job = await this.wait(job.id, { timeoutMs: Number.POSITIVE_INFINITY, signal })
      if (!isSucceeded(job)) throw new JobFailedError(job)
      return job
    } finally {
      end()
    }
  }

  /** The job as it is now. @throws MillraceApiError (job_not_found, ...), MillraceConnectionError, the signal's reason */
  get(id: string, { signal }: CallOptions = {}): Promise<Job> {
    return this.#read(id, undefined, signal)
  }

  /**
   * The job once it is settled, however it ended: look at its `status`.
   * @throws MillraceTimeoutError after `timeoutMs`; as `get`
   */
  async wait(id: string, options: WaitOptions = {}): Promise<SettledJob> {
    const { timeoutMs = defaultWaitMs } = options
    const { signal, end } = limit(options.signal, timeoutMs, () => new MillraceTimeoutError(timeoutMs, id))
    const endsAt = this.#clock.now() + timeoutMs
    try {
      for (;;) {
        const askedAt = this.#clock.now()
        const job = await this.#read(id, waitSeconds(endsAt - askedAt), signal)
        if (isSettled(job)) return job
        if (this.#clock.now() - askedAt < pollPauseMs) await this.#clock.sleep(pollPauseMs, signal)
      }
    } finally {
      end()
    }
  }

  /**
   * The job's events as they happen; the last one is terminal and carries the job. A lost connection is taken up again where it
   * was, with `Last-Event-ID`. The default limit is that of `wait`.
   */
  stream(
    id: string,
    options: WaitOptions & { readonly lastEventId?: string } = {},
  ): AsyncGenerator<StreamedEvent, void, undefined> {
    const { lastEventId, timeoutMs = defaultWaitMs, signal } = options
    return streamJob(this.#transport, id, { lastEventId, timeoutMs, signal })
  }

  /** @throws MillraceApiError job_settled when it ended otherwise before; canceling a canceled job is fine */
  async cancel(id: string, { signal }: CallOptions = {}): Promise<Job> {
    const path = `${jobPath(id)}/cancel`
    return jobOf(await this.#transport.call({ method: 'POST', path, repeatable: true, signal }), id)
  }

  /**
   * Queues a failed or expired job again. Not repeated by itself: a second retry of a queued job is an error.
   * @throws MillraceApiError job_not_retryable
   */
  async retry(id: string, { signal }: CallOptions = {}): Promise<Job> {
    const path = `${jobPath(id)}/retry`
    return jobOf(await this.#transport.call({ method: 'POST', path, repeatable: false, signal }), id)
  }

  /** Sends the job's last webhook once more. Not repeated by itself. @throws MillraceApiError no_webhook */
  async redeliverWebhook(id: string, { signal }: CallOptions = {}): Promise<void> {
    const path = `${jobPath(id)}/webhook/redeliver`
    await this.#transport.call({ method: 'POST', path, repeatable: false, signal })
  }

  /** Your own jobs, newest first, page by page as they are read; without their outputs. */
  async *list(options: ListOptions = {}): AsyncGenerator<ListedJob, void, undefined> {
    const { status, pageSize: limit, signal } = options
    let cursor: string | undefined
    for (;;) {
      const query = { status, limit, cursor }
      const answer = await this.#transport.call({
        method: 'GET',
        path: '/v1/jobs',
        query,
        repeatable: true,
        signal,
      })
      const { data, next_cursor: next } = jobListOf(answer)
      yield* data
      if (next === null) return
      if (next === cursor)
        throw unexpectedAnswer(answer.response, 'a page of jobs that is followed by itself')
      cursor = next
    }
  }

  /** What the fleet serves, with the number of workers that do. */
  async models({ signal }: CallOptions = {}): Promise<Model[]> {
    return modelsOf(
      await this.#transport.call({ method: 'GET', path: '/v1/models', repeatable: true, signal }),
    )
  }

  async #read(id: string, waitS: number | undefined, signal: AbortSignal | undefined): Promise<Job> {
    const answer = await this.#transport.call({
      method: 'GET',
      path: jobPath(id),
      query: { wait: waitS },
      repeatable: true,
      waitS: waitS ?? 0,
      signal,
    })
    return jobOf(answer, id)
  }
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`
}

/** What to ask the server for, when the caller has `leftMs`. */
function waitSeconds(leftMs: number): number {
  return Math.max(1, Math.min(pollS, Math.ceil(leftMs / 1000)))
}

/** 122 random bits. Not `randomUUID`, which a browser refuses to pages that came without TLS. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
