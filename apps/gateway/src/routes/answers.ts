/**
 * What routes share in the API description: their tags and keys, what requests name, and how answers read: one entry per
 * status, and the problem form for every fault.
 */
import { type ErrorCode, errorCodes, problemSchema } from '@millrace/contracts'
import { z } from 'zod'
import { exampleId } from './examples.js'

export const tags = [
  { name: 'Jobs', description: 'Submit work, and get its results in whichever way you like' },
  { name: 'Tasks', description: 'Answered with the results themselves: no job is told of' },
  { name: 'Models', description: 'What this fleet serves' },
  { name: 'OpenAI', description: "OpenAI's routes, for its clients" },
  { name: 'Health', description: 'For whoever runs this fleet; no key is needed' },
]

/** The one security scheme. */
export const bearer = {
  type: 'http' as const,
  scheme: 'bearer',
  description:
    'An API key (`millrace keys create`), also taken as `X-API-Key`. While no key was ever made none is needed.',
}

export const jobParams = z.object({
  id: z.string().meta({ description: 'Of the job: a UUID, in either case', example: exampleId }),
})
/** Of the request headers of a route that can wait. */
export const prefer = {
  Prefer: z.string().optional().meta({
    description: '`wait=N`: answer once the job is settled, or after N seconds (RFC 7240)',
    example: 'wait=5',
  }),
}
export const idempotencyKey = {
  'Idempotency-Key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .optional()
    .meta({
      description:
        'Makes it safe to send this request again: with the same body it answers with the same job, with another it ' +
        'is refused. Of your choice; kept as long as the job',
      example: 'ticket-4711-v1',
    }),
}
export const lastEventId = {
  'Last-Event-ID': z
    .string()
    .regex(/^\d{1,16}-\d{1,9}$/)
    .optional()
    .meta({
      description: 'The `id` of the last event you have: the stream goes on after it',
      example: '0-0',
    }),
}

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
  'no_worker',
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
