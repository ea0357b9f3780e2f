/** What zod finds wrong with a request, in our words: each field by its path. */
import { type FieldError, MillraceError } from '@millrace/contracts'
import type { z } from 'zod'
import { maxReportedFaults } from './error-response.js'

/** Paths and details name what was sent, which may be megabytes long. */
const maxTextChars = 300

export function invalidRequest(error: z.ZodError): MillraceError {
  const errors = error.issues.slice(0, maxReportedFaults).map(
    (issue): FieldError => ({
      path: short(pathOf(issue.path)),
      code: 'invalid_request',
      detail: short(issue.message),
    }),
  )
  const [first] = errors
  return new MillraceError('invalid_request', `${first?.path}: ${first?.detail}`, { errors })
}

function pathOf(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('')
  return text.replace(/^\./, '') || '(body)'
}

function short(text: string): string {
  return text.length <= maxTextChars ? text : `${text.slice(0, maxTextChars)}…`
}
