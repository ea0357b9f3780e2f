import { queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { NewKey } from './api-key.js'
import { TenantStore, type TenantStoreOptions } from './tenant-store.js'

let redis: RedisServer
let nowMs = 1_800_000_000_000
const closers: (() => Promise<void>)[] = []

beforeAll(async () => {
  redis = await queueRedis()
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  await redis.client().flushall()
})
afterAll(() => redis.stop())

async function open(role: TenantStoreOptions['role'] = 'gateway') {
  const store = await TenantStore.connect({ url: redis.url, role, now: () => nowMs })
  closers.push(() => store.close())
  return store
}

const wanted: NewKey = { tenant: 'acme', name: 'laptop', scopes: ['submit', 'read'] }

/** Everything Redis holds, as text. */
async function dump(): Promise<string> {
  const client = redis.client()
  const parts: unknown[] = []
  for (const name of await client.keys('*')) {
    const type = await client.type(name)
    parts.push(name, type === 'hash' ? await client.hgetall(name) : await client.lrange(name, 0, -1))
  }
  return JSON.stringify(parts)
}

describe('a key', () => {
  test('is found by its text, with its tenant, scopes and limit', async () => {
    const store = await open('cli')
    const { key, info } = await store.create({
      ...wanted,
      scopes: ['read', 'submit', 'read'],
      tokensPerMinute: 500,
    })
    expect(key).toMatch(/^mr_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
    const found = await (await open()).find(key)
    expect(found).toEqual({ id: info.id, tenant: 'acme', scopes: ['submit', 'read'], tokensPerMinute: 500 })
  })

  test('is kept as a hash only: neither its text nor its secret is anywhere in Redis or in a list', async () => {
    const store = await open()
    const { key, info } = await store.create(wanted)
    const secret = key.split('_').slice(2).join('_')
    const kept = await dump()
    expect(kept).toContain(info.id)
    expect(kept).not.toContain(secret)
    expect(kept).not.toContain(Buffer.from(secret, 'base64url').toString('hex'))
    expect(JSON.stringify(await store.list())).not.toMatch(/digest|secret/)
  })

  test('with the right id and a wrong secret is none', async () => {
    const store = await open()
    const { key } = await store.create(wanted)
    const other = await store.create(wanted)
    const swapped = key.slice(0, 20) + other.key.slice(20)
    expect(swapped.slice(0, 19)).toBe(key.slice(0, 19))
    expect(await store.find(swapped)).toBeUndefined()
    expect(await store.find(key)).toBeDefined()
  })

  test.each(['', 'mr_', 'Bearer x', 'mr_version_', `mr_${'0'.repeat(16)}_${'A'.repeat(43)}`, 'mr_\0'])(
    'is not what only looks like one: %j',
    async (text) => {
      const store = await open()
      await store.create(wanted)
      expect(await store.find(text)).toBeUndefined()
    },
  )

  test('that is revoked elsewhere is refused after 10 s at the latest, and stays in the list', async () => {
    const gateway = await open()
    const cli = await open('cli')
    const { key, info } = await cli.create(wanted)
    expect(await gateway.find(key)).toBeDefined()
    const revokedAtMs = nowMs
    expect(await cli.revoke(info.id)).toEqual({ ...info, revokedAtMs })
    nowMs += 10_000
    expect(await gateway.find(key)).toBeUndefined()
    expect(await cli.revoke(info.id)).toEqual({ ...info, revokedAtMs })
    expect(await cli.list()).toEqual([{ ...info, revokedAtMs }])
    expect(await gateway.anyKeys()).toBe(true)
  })

  test('ends when it expires, to the millisecond and without asking Redis', async () => {
    const store = await open()
    const { key } = await store.create({ ...wanted, expiresAtMs: nowMs + 5000 })
    nowMs += 4999
    expect(await store.find(key)).toBeDefined()
    nowMs += 1
    expect(await store.find(key)).toBeUndefined()
  })

  test('that nobody made cannot be revoked, not even the version', async () => {
    const store = await open()
    await store.create(wanted)
    for (const id of ['version', 'ffffffffffffffff', '']) expect(await store.revoke(id)).toBeUndefined()
  })

  test.each<[string, Partial<NewKey>]>([
    ['tenant', { tenant: 'Acme' }],
    ['tenant', { tenant: '-acme' }],
    ['tenant', { tenant: `a${'b'.repeat(63)}` }],
    ['name', { name: '' }],
    ['name', { name: 'red\u001b[31m' }],
    ['scopes', { scopes: [] }],
    ['tokensPerMinute', { tokensPerMinute: 0 }],
    ['expiresAtMs', { expiresAtMs: 1 }],
  ])('with a bad %s is not made', async (field, change) => {
    const store = await open()
    await expect(store.create({ ...wanted, ...change })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(field),
    })
    expect(await store.anyKeys()).toBe(false)
  })

  test('is listed beside the others of its tenant, oldest first', async () => {
    const store = await open()
    const ids: string[] = []
    for (const tenant of ['acme', 'other', 'acme']) {
      ids.push((await store.create({ ...wanted, tenant })).info.id)
      nowMs += 1
    }
    expect((await store.list()).map(({ id }) => id)).toEqual(ids)
    expect((await store.list('acme')).map(({ id }) => id)).toEqual([ids[0], ids[2]])
    expect(await store.list('nobody')).toEqual([])
  })

  test('that another version wrote in another way opens nothing and hides no other', async () => {
    const store = await open()
    const { key } = await store.create(wanted)
    await redis
      .client()
      .hset('mr:keys', 'ffffffffffffffff', '{"id":"ffffffffffffffff"}', 'eeeeeeeeeeeeeeee', '{')
    expect(await store.find(key)).toBeDefined()
    expect(await store.list()).toHaveLength(1)
  })
})

test('while Redis is away known keys work for 60 s, and nobody can tell of others', async () => {
  const store = await open()
  const { key } = await store.create(wanted)
  const other = await store.create(wanted)
  const stranger = `${other.key.slice(0, -1)}${other.key.endsWith('A') ? 'B' : 'A'}`
  expect(await store.find(key)).toBeDefined()
  await redis.kill()
  const away = { code: 'queue_unavailable', status: 503 }
  try {
    nowMs += 59_999
    expect(await store.find(key)).toBeDefined()
    expect(await store.find(stranger)).toBeUndefined()
    await expect(store.find(`mr_${'0'.repeat(16)}_${'A'.repeat(43)}`)).rejects.toMatchObject(away)
    nowMs += 1
    await expect(store.find(key)).rejects.toMatchObject(away)
    await expect(store.create(wanted)).rejects.toMatchObject(away)
    await expect(store.webhookSecrets('acme')).rejects.toMatchObject(away)
    expect(await store.anyKeys()).toBe(true)
  } finally {
    await redis.restart()
  }
})

describe('webhook secrets', () => {
  test('all who ask first at the same moment get the same one', async () => {
    const stores = await Promise.all([open('courier'), open('courier'), open('gateway')])
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => stores[i % 3]?.webhookSecrets('acme')),
    )
    expect(answers[0]).toEqual([expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/)])
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
  })

  test('a new one comes in front, three are kept, and the older end when they are dropped', async () => {
    const store = await open()
    const [first] = await store.webhookSecrets('acme')
    const [second, ...older] = await store.rotateWebhookSecret('acme')
    expect(older).toEqual([first])
    await store.rotateWebhookSecret('acme')
    const all = await store.rotateWebhookSecret('acme')
    expect(all).toHaveLength(3)
    expect(all[2]).toBe(second)
    expect(await store.webhookSecrets('acme')).toEqual(all)
    expect(await store.dropOldWebhookSecrets('acme')).toBe(2)
    expect(await store.webhookSecrets('acme')).toEqual([all[0]])
    expect(await store.dropOldWebhookSecrets('acme')).toBe(0)
  })

  test('each tenant has its own, and a name that is none has none', async () => {
    const store = await open()
    expect(await store.webhookSecrets('a')).not.toEqual(await store.webhookSecrets('b'))
    for (const name of ['', 'A', 'x}:y', 'a*'])
      await expect(store.webhookSecrets(name)).rejects.toMatchObject({ code: 'invalid_request' })
  })
})
