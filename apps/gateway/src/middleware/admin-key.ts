/**
 * The door of the dashboard: the admin key as basic authentication's password or as a bearer token, compared in
 * constant time. Without a key only this machine may enter, under a name that is this machine's: a web page elsewhere
 * must not reach it through a visitor's browser (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { getConnInfo } from '@hono/node-server/conninfo'
import { MillraceError } from '@millrace/contracts'
import type { MiddlewareHandler } from 'hono'
import type { GatewayEnv, RequestContext } from '../context.js'
import { problemResponse } from '../error-response.js'

const loopbackAddress = /^(127\.|::1$|::ffff:127\.)/
/** Whether an address to listen on is reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || loopbackAddress.test(host)
}

const loopbackName = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/** @param host the address this gateway listens on: without a key only a gateway of this machine alone has a dashboard */
export function requireAdminKey(adminKey: string, host: string): MiddlewareHandler<GatewayEnv> {
  const listensHere = isLoopback(host)
  return async (c, next) => {
    const allowed = adminKey === '' ? listensHere && isThisMachine(c) : sameSecret(presented(c), adminKey)
    if (allowed) return next()
    const detail =
      adminKey === ''
        ? 'Set ADMIN_KEY to use the dashboard from elsewhere'
        : 'The admin key is missing or wrong'
    const response = problemResponse(new MillraceError('unauthorized', detail), c.get('requestId'))
    response.headers.set('www-authenticate', 'Basic realm="Millrace", charset="UTF-8"')
    return response
  }
}

function presented(c: RequestContext): string {
  const header = c.req.header('authorization') ?? ''
  const [scheme = '', value = ''] = header.split(' ', 2)
  if (/^bearer$/i.test(scheme)) return value
  if (!/^basic$/i.test(scheme)) return ''
  const pair = Buffer.from(value, 'base64').toString('utf8')
  return pair.slice(pair.indexOf(':') + 1)
}

/** Hashed first: comparing takes the same time whatever the length. */
function sameSecret(given: string, secret: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(secret))
}

function isThisMachine(c: RequestContext): boolean {
  const { address = '' } = getConnInfo(c).remote
  return loopbackAddress.test(address) && loopbackName.test(c.req.header('host') ?? '')
}
