/** The one switch from a fault to HTTP. What caused a fault goes to the log and never to a client. */
import { errorCodes, MillraceError, type Problem } from '@millrace/contracts'

/** Faults of one request that are named; a client learns nothing from the thousandth. */
export const maxReportedFaults = 32

/** An error that is none of ours says nothing of itself. */
export function toMillraceError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  return new MillraceError('internal', 'The request could not be answered', { cause: error })
}

/** RFC 9457 problem details. */
export function problemOf(error: MillraceError, requestId: string): Problem {
  const { status, title, retryable } = errorCodes[error.code]
  return {
    type: `urn:millrace:error:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    retryable,
    errors: error.errors,
  }
}

export function problemResponse(error: MillraceError, requestId: string): Response {
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'x-request-id': requestId,
  }
  if (error.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS)
  return new Response(JSON.stringify(problemOf(error, requestId)), { status: error.status, headers })
}
