/**
 * What the fleet knows of its tenants, on the queue Redis: their API keys and webhook secrets. A key's secret is never
 * stored, only its hash; a webhook secret has to be, because the courier signs with it. Knows nothing of HTTP.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { type FieldError, MillraceError } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent, reach } from '@millrace/redis'
import type { Redis } from 'ioredis'
import type { z } from 'zod'
import {
  type KeyInfo,
  keyState,
  type NewKey,
  newKeySchema,
  newKeyText,
  parseKeyText,
  type Scope,
  type StoredKey,
  sameDigest,
  storedKeySchema,
  tenantNameSchema,
} from './api-key.js'
import { KeyRing } from './key-ring.js'
import { defineTenantCommands } from './tenant-commands.js'

export interface TenantStoreOptions {
  url: string
  /** A gateway and a person at a terminal are told at once that Redis is away; a courier waits for it. */
  role: 'gateway' | 'cli' | 'courier'
  now?: () => number
  on?: ((event: RedisEvent) => void) | undefined
}

/** What a request may do that shows a key. */
export interface FoundKey {
  id: string
  tenant: string
  scopes: readonly Scope[]
  /** null: no limit. */
  tokensPerMinute: number | null
}

/** One hash: a field per key id, and `version`, which no id can be. Each change of both is one command. */
const keysKey = 'mr:keys'
const versionField = 'version'
const maxWebhookSecrets = 3
const failFastTimeoutMs = 1000
const courierTimeoutMs = 120_000

export class TenantStore {
  readonly #redis: Redis
  readonly #now: () => number
  readonly #ring: KeyRing

  private constructor(redis: Redis, now: () => number) {
    this.#redis = redis
    this.#now = now
    const source = { version: () => redis.hget(keysKey, versionField), all: () => this.#all() }
    this.#ring = new KeyRing(source, now)
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: TenantStoreOptions): Promise<TenantStore> {
    const redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: options.role !== 'courier',
      commandTimeoutMs: options.role === 'courier' ? courierTimeoutMs : failFastTimeoutMs,
      on: options.on,
    })
    defineTenantCommands(redis)
    await firstReady(redis, 2000)
    return new TenantStore(redis, options.now ?? Date.now)
  }

  /**
   * Makes a key. Its text is in this answer and nowhere else, ever again.
   * @throws MillraceError invalid_request, queue_unavailable, queue_memory
   */
  async create(given: NewKey): Promise<{ key: string; info: KeyInfo }> {
    const wanted = checked(newKeySchema, given)
    const createdAtMs = this.#now()
    if (wanted.expiresAtMs !== undefined && wanted.expiresAtMs <= createdAtMs) {
      throw new MillraceError('invalid_request', 'expiresAtMs: is in the past')
    }
    const { key, id, digest } = newKeyText()
    const stored: StoredKey = {
      ...wanted,
      id,
      tokensPerMinute: wanted.tokensPerMinute ?? null,
      createdAtMs,
      expiresAtMs: wanted.expiresAtMs ?? null,
      revokedAtMs: null,
      digest,
    }
    await this.#write(stored)
    return { key, info: infoOf(stored) }
  }

  /** Oldest first, revoked and expired ones included. @throws MillraceError queue_unavailable */
  async list(tenant?: string): Promise<KeyInfo[]> {
    const keys = await reach(() => this.#all())
    return [...keys.values()]
      .filter((key) => tenant === undefined || key.tenant === tenant)
      .sort((a, b) => a.createdAtMs - b.createdAtMs || a.id.localeCompare(b.id))
      .map(infoOf)
  }

  /**
   * Ends a key for good; every gateway refuses it within 10 s. Undefined where there is no such key; a key revoked
   * before keeps the time of it.
   * @throws MillraceError queue_unavailable, queue_memory
   */
  async revoke(id: string): Promise<KeyInfo | undefined> {
    const text = id === versionField ? null : await reach(() => this.#redis.hget(keysKey, id))
    const key = text === null ? undefined : parseStored(text)
    if (!key) return undefined
    if (key.revokedAtMs !== null) return infoOf(key)
    // Nothing else of a key ever changes, so that two who revoke it at once write the same.
    const revoked = { ...key, revokedAtMs: this.#now() }
    await this.#write(revoked)
    return infoOf(revoked)
  }

  /**
   * The key that a client shows, where it is one and works. Known keys are checked without asking Redis for 10 s, and
   * for 60 s while it is away.
   * @throws MillraceError queue_unavailable where nobody can tell
   */
  async find(presentedKey: string): Promise<FoundKey | undefined> {
    const shown = parseKeyText(presentedKey)
    if (!shown) return undefined
    const key = await reach(() => this.#ring.get(shown.id))
    if (!sameDigest(shown.digest, key) || !key || keyState(key, this.#now()) !== 'active') return undefined
    return { id: key.id, tenant: key.tenant, scopes: key.scopes, tokensPerMinute: key.tokensPerMinute }
  }

  /** Whether a key was ever made, of any tenant, also one that works no more. @throws MillraceError queue_unavailable */
  anyKeys(): Promise<boolean> {
    return reach(() => this.#ring.any())
  }

  /**
   * To sign webhooks with: `whsec_` and base64 of 32 random bytes, newest first. The first is made when it is needed.
   * @throws MillraceError invalid_request, queue_unavailable, queue_memory
   */
  async webhookSecrets(tenant: string): Promise<string[]> {
    const key = webhookSecretsKey(tenant)
    return reach(() => this.#redis.mrWebhookSecrets(key, newWebhookSecret()))
  }

  /**
   * Adds a secret in front; receivers that know an older one still verify. At most 3 are kept. Answers all, newest first.
   * @throws MillraceError invalid_request, queue_unavailable, queue_memory
   */
  async rotateWebhookSecret(tenant: string): Promise<string[]> {
    const key = webhookSecretsKey(tenant)
    return reach(() => this.#redis.mrRotateWebhookSecret(key, newWebhookSecret(), maxWebhookSecrets))
  }

  /** Ends all but the newest. Answers how many. @throws MillraceError invalid_request, queue_unavailable */
  async dropOldWebhookSecrets(tenant: string): Promise<number> {
    const key = webhookSecretsKey(tenant)
    const count = await reach(() => this.#redis.llen(key))
    if (count > 1) await reach(() => this.#redis.ltrim(key, 0, 0))
    return Math.max(0, count - 1)
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }

  async #all(): Promise<ReadonlyMap<string, StoredKey>> {
    const { [versionField]: _, ...texts } = await this.#redis.hgetall(keysKey)
    const keys = new Map<string, StoredKey>()
    for (const [id, text] of Object.entries(texts)) {
      const key = parseStored(text)
      if (key) keys.set(id, key)
    }
    return keys
  }

  async #write(key: StoredKey): Promise<void> {
    // Random, not counted: a Redis that lost its last second must not give a version out twice.
    const fields = { [key.id]: JSON.stringify(key), [versionField]: randomUUID() }
    await reach(() => this.#redis.hset(keysKey, fields))
  }
}

/** What is no key of this version of Millrace opens nothing. */
function parseStored(text: string): StoredKey | undefined {
  try {
    return storedKeySchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function infoOf({ digest: _, ...info }: StoredKey): KeyInfo {
  return info
}

function newWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}

/** @throws MillraceError invalid_request: a name that is none could be any other key of Redis */
function webhookSecretsKey(tenant: string): string {
  return `mr:{tenant:${checked(tenantNameSchema, tenant, 'tenant')}}:webhook-secrets`
}

function checked<T extends z.ZodType>(schema: T, value: unknown, name = ''): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map((issue): FieldError => {
    return { path: issue.path.map(String).join('.') || name, code: 'invalid_request', detail: issue.message }
  })
  const detail = errors.map(({ path, detail }) => `${path}: ${detail}`).join('; ')
  throw new MillraceError('invalid_request', detail, { errors })
}
