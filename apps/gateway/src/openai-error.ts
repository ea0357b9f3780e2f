/**
 * Faults in OpenAI's form, on OpenAI's routes: the same closed list of codes, for clients that were written against
 * OpenAI. What caused a fault goes to the log and never to a client.
 */
import {
  type ErrorCode,
  errorCodes,
  type MillraceError,
  type OpenAiError,
  type OpenAiErrorType,
  openAiErrorSchema,
} from '@millrace/contracts'
import { problemResponse } from './error-response.js'

const openAiPaths: ReadonlySet<string> = new Set(['/v1/embeddings'])

/** A fault in the form that a path's clients read. For the error boundary and for what no route matches. */
export function faultResponse(path: string, error: MillraceError, requestId: string): Response {
  return openAiPaths.has(path) ? openAiErrorResponse(error, requestId) : problemResponse(error, requestId)
}

export function openAiErrorOf(error: MillraceError): OpenAiError {
  const [first] = error.errors
  const more = error.errors.length > 1 ? ` (and ${error.errors.length - 1} more)` : ''
  return {
    error: {
      message: first ? `${fieldOf(first.path)}: ${first.detail}${more}` : error.message,
      type: typeOf(openAiStatus(error)),
      param: first ? paramOf(first.path) : null,
      code: error.code,
    },
  }
}

/** OpenAI has no 422: what is wrong with an input is a bad request. */
function openAiStatus({ code }: { code: ErrorCode }): number {
  const { status } = errorCodes[code]
  return status === 422 ? 400 : status
}

export function openAiErrorResponse(error: MillraceError, requestId: string): Response {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'x-request-id': requestId,
    // The official clients would else try every 409 and 5xx again, also those that can only fail again.
    'x-should-retry': String(error.retryable),
  }
  if (error.retryAfterS !== undefined) headers['retry-after'] = String(error.retryAfterS)
  return new Response(JSON.stringify(openAiErrorOf(error)), { status: openAiStatus(error), headers })
}

/** What other routes call `inputs` is `input` here. */
function fieldOf(path: string): string {
  return path.replace(/^inputs(?=\[|$)/, 'input')
}

/** The name of the field alone: which of its items is at fault is in the message. */
function paramOf(path: string): string | null {
  return /^\w+/.exec(fieldOf(path))?.[0] ?? null
}

function typeOf(status: number): OpenAiErrorType {
  if (status >= 500) return 'server_error'
  if (status === 429) return 'rate_limit_error'
  if (status === 401) return 'authentication_error'
  return status === 403 ? 'permission_error' : 'invalid_request_error'
}

const requestIdHeader = {
  'X-Request-Id': { description: 'Of this request, also in the logs', schema: { type: 'string' as const } },
}
const retryAfterHeader = {
  'Retry-After': { description: 'Seconds, computed', schema: { type: 'integer' as const } },
}

/** The error answers of a route as the API description lists them, by status, each naming its codes. */
export function openAiErrorAnswers(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of [...codes, 'internal' as const]) {
    const status = openAiStatus({ code })
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${errorCodes[code].title}`).join('. '),
        headers:
          status === 429 || status === 503 ? { ...requestIdHeader, ...retryAfterHeader } : requestIdHeader,
        content: { 'application/json': { schema: openAiErrorSchema } },
      },
    ]),
  )
}
