/** What an API key is: its text, what is kept of it, what may be said of it. Knows nothing of Redis or HTTP. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'

/** What a key may do. No scope holds another: an `admin` key that shall submit has both. */
export const scopes = ['submit', 'read', 'admin'] as const
export const scopeSchema = z.enum(scopes)
export type Scope = z.infer<typeof scopeSchema>

export const tenantNameSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, {
  message: 'must be 1 to 63 of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit',
})

export const newKeySchema = z.strictObject({
  tenant: tenantNameSchema,
  /** For people; shown in lists and at terminals, so without control characters. */
  name: z.string().regex(/^\P{Cc}{1,100}$/u, { message: 'must be 1 to 100 printable characters' }),
  scopes: z
    .array(scopeSchema)
    .min(1)
    .transform((given) => scopes.filter((scope) => given.includes(scope))),
  /** Input tokens; the key's tenant has no limit where this is absent. */
  tokensPerMinute: z.number().int().min(1).max(1_000_000_000_000).optional(),
  /** Milliseconds since 1970; the key never expires where this is absent. */
  expiresAtMs: z.number().int().positive().optional(),
})
export type NewKey = z.input<typeof newKeySchema>

const keyInfoSchema = z.object({
  id: z.string(),
  tenant: tenantNameSchema,
  name: z.string(),
  scopes: z.array(scopeSchema),
  tokensPerMinute: z.number().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable(),
  revokedAtMs: z.number().nullable(),
})
/** All that may be shown of a key. */
export type KeyInfo = z.infer<typeof keyInfoSchema>

/** As it lies in Redis: `digest` is the SHA-256 of the secret, base64url. */
export const storedKeySchema = keyInfoSchema.extend({ digest: z.string() })
export type StoredKey = z.infer<typeof storedKeySchema>

export type KeyState = 'active' | 'expired' | 'revoked'

export function keyState(key: KeyInfo, nowMs: number): KeyState {
  if (key.revokedAtMs !== null) return 'revoked'
  return key.expiresAtMs !== null && key.expiresAtMs <= nowMs ? 'expired' : 'active'
}

/** A new key's text, `mr_<id>_<secret>`: 8 random bytes as hex, by which it is found, and 32 as base64url. */
export function newKeyText(): { key: string; id: string; digest: string } {
  const id = randomBytes(8).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  return { key: `mr_${id}_${secret}`, id, digest: digestOf(secret).toString('base64url') }
}

const keyText = /^mr_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/

/** Undefined where the text cannot be a key of ours: nobody need be asked. */
export function parseKeyText(text: string): { id: string; digest: Buffer } | undefined {
  const [, id, secret] = keyText.exec(text) ?? []
  return id === undefined || secret === undefined ? undefined : { id, digest: digestOf(secret) }
}

const noDigest = Buffer.alloc(32)

/** In constant time, also where there is no such key. */
export function sameDigest(digest: Buffer, stored: StoredKey | undefined): boolean {
  const known = stored ? Buffer.from(stored.digest, 'base64url') : noDigest
  return timingSafeEqual(digest, known.length === noDigest.length ? known : noDigest)
}

/**
 * One fast hash is enough: slow ones (bcrypt, scrypt) protect what people choose. A secret of 256 random bits cannot be
 * found by trying, and a slow hash would cost every request.
 */
function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
