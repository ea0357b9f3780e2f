/**
 * Who asks, and what they may do: the API key of a request becomes its tenant. What keys are and where they are kept is
 * @millrace/tenants' matter; which route needs which scope is app.ts'.
 */
import { MillraceError } from '@millrace/contracts'
import { type Scope, scopes, type TenantStore } from '@millrace/tenants'
import type { MiddlewareHandler } from 'hono'
import type { GatewayEnv, RequestContext } from '../context.js'
import { setHeader } from '../set-header.js'

/** Who a request is from. */
export interface Tenant {
  name: string
  scopes: readonly Scope[]
  /** Public id of the key shown; null where none was needed. */
  keyId: string | null
  /** Input tokens; null: no limit. */
  tokensPerMinute: number | null
}

/** Everyone, while no key was ever made. */
const openTenant: Tenant = Object.freeze({ name: 'default', scopes, keyId: null, tokensPerMinute: null })

export interface AuthenticateOptions {
  /** Whether a key is needed also while none was ever made. */
  required: boolean
}

/**
 * Sets `tenant`. While no key was ever made, and none is required, a key that is shown is not looked at: clients of
 * OpenAI always send one.
 * @throws MillraceError unauthorized, with `WWW-Authenticate` (RFC 6750, section 3); queue_unavailable where nobody can tell
 */
export function authenticate(
  tenants: Pick<TenantStore, 'find' | 'anyKeys'>,
  options: AuthenticateOptions,
): MiddlewareHandler<GatewayEnv> {
  return async (c, next) => {
    c.set('tenant', await tenantOf(c, tenants, options.required))
    return next()
  }
}

/** Lets on who has the scope. After `authenticate`. @throws MillraceError forbidden */
export function requireScope(scope: Scope): MiddlewareHandler<GatewayEnv> {
  return (c, next) => {
    if (c.get('tenant').scopes.includes(scope)) return next()
    setHeader(c, 'www-authenticate', `Bearer realm="Millrace", error="insufficient_scope", scope="${scope}"`)
    throw new MillraceError('forbidden', `This needs a key with the scope '${scope}'`)
  }
}

async function tenantOf(
  c: RequestContext,
  tenants: Pick<TenantStore, 'find' | 'anyKeys'>,
  required: boolean,
): Promise<Tenant> {
  if (!required && !(await tenants.anyKeys())) return openTenant
  const key = presentedKey(c)
  if (key === undefined) {
    setHeader(c, 'www-authenticate', 'Bearer realm="Millrace"')
    throw new MillraceError(
      'unauthorized',
      'Send an API key as `Authorization: Bearer <key>` or as `X-API-Key`',
    )
  }
  const found = await tenants.find(key)
  if (!found) {
    setHeader(c, 'www-authenticate', 'Bearer realm="Millrace", error="invalid_token"')
    throw new MillraceError('unauthorized', 'This API key is unknown, expired or revoked')
  }
  return {
    name: found.tenant,
    scopes: found.scopes,
    keyId: found.id,
    tokensPerMinute: found.tokensPerMinute,
  }
}

/** Undefined where there is none: another scheme of `Authorization` leaves room for `X-API-Key`. */
function presentedKey(c: RequestContext): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1]
  return bearer ?? (c.req.header('x-api-key')?.trim() || undefined)
}
