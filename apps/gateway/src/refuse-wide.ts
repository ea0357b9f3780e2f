/**
 * Bodies that are wide where no request that means well is. Zod looks at every entry and names every fault: 4 MB of
 * metadata would block this process for ten seconds, only to be refused.
 */
import { fieldError } from '@millrace/contracts'

/** Entries of an object, or members of an array; the schema's own limits are all lower. */
const widest = 64

/**
 * Looks as deep as the schema does: at the body, its fields, and theirs.
 * @param free the field that may be as wide as it likes
 * @throws MillraceError invalid_request
 */
export function refuseWide(body: unknown, free: string): void {
  refuse(body, '(body)')
  for (const [field, value] of entriesOf(body)) {
    if (field === free) continue
    refuse(value, field)
    for (const [inner, innermost] of entriesOf(value)) refuse(innermost, `${field}.${inner}`)
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}

function refuse(value: unknown, path: string): void {
  if (typeof value !== 'object' || value === null) return
  const count = Array.isArray(value) ? value.length : Object.keys(value).length
  if (count > widest) throw fieldError('invalid_request', path.slice(0, 100), `holds ${count} entries`)
}
