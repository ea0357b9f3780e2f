/**
 * The one closed list of what can go wrong, as a client sees it. A code never changes its meaning; `retryable` is
 * data, so that a client, the gateway and the worker decide the same way. What caused a fault is never in here.
 */
export const errorCodes = {
  invalid_request: { status: 400, title: 'The request does not fit its schema', retryable: false },
  malformed_json: { status: 400, title: 'The body is not valid JSON', retryable: false },
  unauthorized: { status: 401, title: 'A valid key is needed', retryable: false },
  forbidden: { status: 403, title: 'This key may not do that', retryable: false },
  not_found: { status: 404, title: 'There is no such route', retryable: false },
  job_not_found: { status: 404, title: 'There is no such job', retryable: false },
  model_not_found: { status: 404, title: 'This fleet has no such model', retryable: false },
  method_not_allowed: { status: 405, title: 'This route does not take that method', retryable: false },
  job_settled: { status: 409, title: 'The job is settled already', retryable: false },
  job_not_retryable: {
    status: 409,
    title: 'Only failed and expired jobs can be tried again',
    retryable: false,
  },
  idempotency_in_flight: {
    status: 409,
    title: 'The first request with this key is still under way',
    retryable: true,
  },
  job_gone: { status: 410, title: 'The time to read this job is over', retryable: false },
  body_too_large: { status: 413, title: 'The body is larger than allowed', retryable: false },
  unsupported_media_type: { status: 415, title: 'The body must be application/json', retryable: false },
  empty_input: { status: 422, title: 'An input is empty', retryable: false },
  wrong_task: { status: 422, title: 'This model is of another task', retryable: false },
  invalid_input: { status: 422, title: 'An input cannot be used by this model', retryable: false },
  input_too_long: { status: 422, title: 'An input is longer than the model takes', retryable: false },
  unsupported_media: {
    status: 422,
    title: 'An input is no image or recording of a kind that is taken',
    retryable: false,
  },
  input_too_large: { status: 422, title: 'An image or a recording is larger than allowed', retryable: false },
  url_refused: { status: 422, title: 'This address may not be fetched', retryable: false },
  fetch_failed: { status: 422, title: 'An input could not be fetched from its address', retryable: false },
  too_many_items: { status: 422, title: 'The job holds more items than allowed', retryable: false },
  idempotency_mismatch: {
    status: 422,
    title: 'This key was used with another request',
    retryable: false,
  },
  webhook_refused: { status: 422, title: 'This webhook address may not be called', retryable: false },
  no_webhook: { status: 422, title: 'This job has no webhook, or nothing to tell yet', retryable: false },
  rate_limited: { status: 429, title: 'Too many input tokens in this time', retryable: true },
  queue_full: { status: 429, title: 'The queue is too deep right now', retryable: true },
  queue_memory: { status: 503, title: 'The queue store is nearly full', retryable: true },
  queue_unavailable: { status: 503, title: 'The queue store cannot be reached', retryable: true },
  no_worker: { status: 503, title: 'No worker serves this model right now', retryable: true },
  result_rebuilding: { status: 503, title: 'The result is being computed again', retryable: true },
  shutting_down: { status: 503, title: 'This replica is stopping', retryable: true },
  job_canceled: { status: 409, title: 'The job was canceled', retryable: false },
  job_expired: { status: 504, title: 'The job passed its deadline before it was computed', retryable: true },
  input_crashes_model: { status: 500, title: 'This input ended the model process twice', retryable: false },
  inference_failed: { status: 500, title: 'The model could not compute this input', retryable: true },
  inference_timeout: { status: 500, title: 'Computing this input passed its time limit', retryable: true },
  internal: { status: 500, title: 'Something unexpected happened here', retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>

export type ErrorCode = keyof typeof errorCodes

/** One fault of one field, by its JSON path (`inputs[3]`). */
export interface FieldError {
  path: string
  code: ErrorCode
  detail: string
}

export interface MillraceErrorOptions {
  /** Private: for logs, never for a client. */
  cause?: unknown
  errors?: FieldError[]
  retryAfterS?: number
}

/** A fault with a public code and detail. `detail` may be shown to anyone; `cause` may not. */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: ErrorCode
  readonly errors: FieldError[]
  readonly retryAfterS: number | undefined

  constructor(code: ErrorCode, detail: string, options: MillraceErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.errors = options.errors ?? []
    this.retryAfterS = options.retryAfterS
  }

  get status(): number {
    return errorCodes[this.code].status
  }

  get retryable(): boolean {
    return errorCodes[this.code].retryable
  }
}

/** A fault of exactly one field. */
export function fieldError(code: ErrorCode, path: string, detail: string): MillraceError {
  return new MillraceError(code, `${path}: ${detail}`, { errors: [{ path, code, detail }] })
}

/** The failure of one item, in that item's place of the output. */
export interface ItemError {
  code: ErrorCode
  detail: string
}
