/** From an answer that is no success to the error that is thrown. */
import { problemSchema } from '@millrace/contracts'
import { z } from 'zod'
import { MillraceApiError } from './errors.js'

/** As the contract has it, but open: a newer server may know codes that this client does not. */
const readableProblem = problemSchema.pick({ detail: true, retryable: true }).extend({
  code: z.string(),
  request_id: z.string().nullish(),
  errors: z.array(z.object({ path: z.string(), code: z.string(), detail: z.string() })).default([]),
})

/** What a proxy in front says of a server that is busy, starting or gone. */
const passingStatuses = new Set([408, 425, 429, 502, 503, 504])
const shownChars = 200

export function errorOf(response: Response, text: string): MillraceApiError {
  const { status } = response
  const retryAfterS = retryAfterSeconds(response.headers.get('retry-after'), Date.now())
  const problem = readableProblem.safeParse(jsonOf(text))
  if (problem.success) {
    const { detail, code, retryable, errors, request_id } = problem.data
    return new MillraceApiError(detail, {
      status,
      code,
      requestId: request_id ?? requestIdOf(response),
      retryable,
      retryAfterS,
      errors,
    })
  }
  return new MillraceApiError(`Status ${status} without problem details: ${text.slice(0, shownChars)}`, {
    status,
    code: 'unexpected_answer',
    requestId: requestIdOf(response),
    retryable: passingStatuses.has(status),
    retryAfterS,
    errors: [],
  })
}

/** A success that is not what the API promises: a fault of the server, or of what stands before it, is not hidden. */
export function unexpectedAnswer(response: Response, what: string, cause?: unknown): MillraceApiError {
  return new MillraceApiError(
    `Not an answer of Millrace: ${what}`,
    {
      status: response.status,
      code: 'unexpected_answer',
      requestId: requestIdOf(response),
      retryable: false,
      retryAfterS: null,
      errors: [],
    },
    { cause },
  )
}

/**
 * RFC 9110, 10.2.3: seconds, or a date.
 * @returns whole or broken seconds from `nowMs`, never negative; null where the header says nothing
 */
export function retryAfterSeconds(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  if (/^\s*\d+\s*$/.test(header)) return Number(header)
  const at = Date.parse(header)
  return Number.isNaN(at) ? null : Math.max(0, (at - nowMs) / 1000)
}

function requestIdOf(response: Response): string | null {
  return response.headers.get('x-request-id')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
