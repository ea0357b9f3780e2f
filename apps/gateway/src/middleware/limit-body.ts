/** Refuses a body that is too large: by its declared length at once, or else while it is read. */
import { MillraceError } from '@millrace/contracts'
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { GatewayEnv } from '../context.js'

/** Fields and part headers of a multipart body beside its files. */
const multipartExtraBytes = 65_536

/** @param maxFileBytes of all files of a multipart body: JSON is slower to read, and has a lower limit */
export function limitBody(maxBytes: number, maxFileBytes: number): MiddlewareHandler<GatewayEnv> {
  const plain = limitTo(maxBytes)
  const multipart = limitTo(maxFileBytes + multipartExtraBytes)
  return (c, next) => (isMultipart(c.req.header('content-type')) ? multipart(c, next) : plain(c, next))
}

export function isMultipart(type: string | undefined): boolean {
  return type !== undefined && /^multipart\/form-data\s*(;|$)/i.test(type)
}

function limitTo(maxBytes: number): MiddlewareHandler<GatewayEnv> {
  const tooLarge = () => {
    throw new MillraceError('body_too_large', `The body is larger than ${maxBytes} bytes`)
  }
  const whileReading = bodyLimit({ maxSize: maxBytes, onError: tooLarge })
  return (c, next) => {
    const declared = c.req.header('content-length')
    // hono's middleware wraps the body in a stream, which costs every request; a declared length needs none.
    if (declared === undefined) return whileReading(c, next)
    if (Number(declared) > maxBytes) tooLarge()
    return next()
  }
}
