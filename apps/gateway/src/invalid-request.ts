/** What zod finds wrong with a request, in our words: each field by its path. */
import { type FieldError, MillraceError } from '@millrace/contracts'
import type { z } from 'zod'
import { maxReportedFaults } from './error-response.js'

export function invalidRequest(error: z.ZodError): MillraceError {
  const errors = error.issues
    .slice(0, maxReportedFaults)
    .map(
      (issue): FieldError => ({ path: pathOf(issue.path), code: 'invalid_request', detail: issue.message }),
    )
  const [first] = errors
  return new MillraceError('invalid_request', `${first?.path}: ${first?.detail}`, { errors })
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
  return text.replace(/^\./, '') || '(body)'
}
