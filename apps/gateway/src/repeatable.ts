/**
 * Requests that a client may send again: by PUT under an id of its own, or by POST with an `Idempotency-Key`
 * (draft-ietf-httpapi-idempotency-key-header). The key becomes the job's id, so that the record itself is what a
 * repeat finds; nothing else has to be stored, expired or kept in step.
 */
import { createHash } from 'node:crypto'
import { fieldError, MillraceError } from '@millrace/contracts'
import type { RequestContext } from './context.js'
import { isJobId } from './read-job.js'
import type { SubmitRequest } from './submit.js'

const keyForm = /^[\x21-\x7e]{1,255}$/

/** @throws MillraceError invalid_request for an id or a key that is none */
export function repeatableId(c: RequestContext, bodyText: string): SubmitRequest['repeatable'] {
  const id = c.req.param('id')
  if (id !== undefined) {
    if (!isJobId(id)) throw fieldError('invalid_request', 'id', 'is not a UUID')
    // Made from a tenant and a key that others can guess: they could take a tenant's next id, or see that it is taken.
    if (id.charAt(14) === '8') {
      throw fieldError('invalid_request', 'id', 'is a UUID of version 8, which are kept for Idempotency-Keys')
    }
    return { id: id.toLowerCase(), digest: digestOf(bodyText) }
  }
  const key = c.req.header('idempotency-key')
  if (key === undefined) return null
  if (!keyForm.test(key)) {
    throw new MillraceError(
      'invalid_request',
      'Idempotency-Key must be 1 to 255 printable ASCII characters without spaces',
    )
  }
  return { id: jobIdOf(c.get('tenant').name, key), digest: digestOf(bodyText) }
}

/** The exact body: what is written differently is another request. */
function digestOf(bodyText: string): string {
  return createHash('sha256').update(bodyText).digest('base64url')
}

/** UUIDv8 (RFC 9562, 5.8): 122 bits of a hash over tenant and key. */
function jobIdOf(tenant: string, key: string): string {
  const hash = createHash('sha256').update(`millrace idempotency\n${tenant}\n${key}`).digest()
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6)
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = hash.toString('hex', 0, 16)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
