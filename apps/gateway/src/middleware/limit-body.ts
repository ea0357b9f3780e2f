/** Refuses a body that is too large: by its declared length at once, or else while it is read. */
import { MillraceError } from '@millrace/contracts'
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { GatewayEnv } from '../context.js'

export function limitBody(maxBytes: number): MiddlewareHandler<GatewayEnv> {
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
