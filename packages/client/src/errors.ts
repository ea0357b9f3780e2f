/** What can go wrong, as the caller of this client sees it. An abort rejects with the signal's own reason instead. */
import type { ErrorCode, Job } from '@millrace/contracts'

/** `unexpected_answer`: not what the API promises, from a proxy or a faulty server. A newer server may know more codes. */
export type ApiErrorCode = ErrorCode | 'unexpected_answer' | (string & {})

export interface ApiFieldError {
  /** A path in the body: `inputs[3]`. */
  readonly path: string
  readonly code: ApiErrorCode
  readonly detail: string
}

export interface ApiErrorFacts {
  readonly status: number
  readonly code: ApiErrorCode
  readonly requestId: string | null
  readonly retryable: boolean
  readonly retryAfterS: number | null
  readonly errors: readonly ApiFieldError[]
}

/** The server answered, and the answer is an error, or is none that it may give. */
export class MillraceApiError extends Error {
  override readonly name = 'MillraceApiError'
  readonly status: number
  readonly code: ApiErrorCode
  /** What to name when asking the people who run the server. */
  readonly requestId: string | null
  /** Whether the same request may succeed later. This client has tried already, where that was safe. */
  readonly retryable: boolean
  readonly retryAfterS: number | null
  readonly errors: readonly ApiFieldError[]

  constructor(detail: string, facts: ApiErrorFacts, options?: ErrorOptions) {
    super(detail, options)
    this.status = facts.status
    this.code = facts.code
    this.requestId = facts.requestId
    this.retryable = facts.retryable
    this.retryAfterS = facts.retryAfterS
    this.errors = facts.errors
  }
}

/** No answer, or half of one: the network, or a server that is away. Whether the request was carried out is unknown. */
export class MillraceConnectionError extends Error {
  override readonly name = 'MillraceConnectionError'
}

/** The caller's limit on a wait passed. The job goes on; wait for it again by its id. */
export class MillraceTimeoutError extends Error {
  override readonly name = 'MillraceTimeoutError'
  /** null where the time was up before the job was accepted. */
  readonly jobId: string | null

  constructor(timeoutMs: number, jobId: string | null) {
    super(
      `${jobId === null ? 'The job was not accepted' : `Job ${jobId} was not settled`} within ${timeoutMs} ms`,
    )
    this.jobId = jobId
  }
}

/** Thrown by `run` alone, which promises an output: the job ended as failed, canceled or expired. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError'
  readonly job: Job

  constructor(job: Job) {
    super(`Job ${job.id} ${job.status}${job.error ? `: ${job.error.code}: ${job.error.detail}` : ''}`)
    this.job = job
  }
}

/** The message is not from whom it says, is too old, or was changed on its way. */
export class WebhookVerificationError extends Error {
  override readonly name = 'WebhookVerificationError'
}
