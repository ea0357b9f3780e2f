/** How answers read in the API description: one entry per status, and the problem form for every fault. */
import { type ErrorCode, errorCodes, problemSchema } from '@millrace/contracts'

const requestIdHeader = {
  'X-Request-Id': { description: 'Of this request, also in the logs', schema: { type: 'string' as const } },
}
const retryAfterHeader = {
  'Retry-After': { description: 'Seconds, computed', schema: { type: 'integer' as const } },
}

/** What a request can meet that is answered with its results: every fault of a submit, and of the wait for its end. */
export const waitedForFaults = [
  'malformed_json',
  'invalid_request',
  'empty_input',
  'invalid_input',
  'input_too_long',
  'too_many_items',
  'unauthorized',
  'forbidden',
  'model_not_found',
  'wrong_task',
  'body_too_large',
  'unsupported_media_type',
  'rate_limited',
  'queue_full',
  'input_crashes_model',
  'inference_failed',
  'inference_timeout',
  'queue_memory',
  'queue_unavailable',
  'result_rebuilding',
  'shutting_down',
  'job_expired',
] as const satisfies readonly ErrorCode[]

/** The problem answers of a route, by status, each naming its codes. */
export function problems(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of [...codes, 'internal' as const]) {
    const { status } = errorCodes[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('. '),
        headers:
          status === 429 || status === 503 ? { ...requestIdHeader, ...retryAfterHeader } : requestIdHeader,
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  )
}
