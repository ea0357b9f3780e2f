import { TenantStore } from '@millrace/tenants'
import { freePort, queueRedis, type RedisServer } from '@millrace/testkit'
import type { Command } from 'commander'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { keysCommand } from './keys.js'
import { webhookSecretsCommand } from './webhook-secrets.js'
import type { Terminal } from './with-tenants.js'

let redis: RedisServer
beforeAll(async () => {
  redis = await queueRedis()
})
afterEach(async () => {
  await redis.client().flushall()
})
afterAll(() => redis.stop())

const nowMs = Date.UTC(2026, 0, 2)

class Exit extends Error {
  readonly exitCode: number
  constructor(exitCode: number) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}

/** As typed after `millrace`. */
async function run(line: string, url = redis.url) {
  const said = { out: '', err: '', code: 0 }
  const terminal: Terminal = {
    settings: () => ({ QUEUE_REDIS_URL: url }),
    now: () => nowMs,
    out: (text) => {
      said.out += text
    },
    err: (text) => {
      said.err += text
    },
    exit: (code) => {
      throw new Exit(code)
    },
  }
  const [name, ...words] = line.split(' ')
  const command: Command = name === 'keys' ? keysCommand(terminal) : webhookSecretsCommand(terminal)
  await command.parseAsync(words, { from: 'user' }).catch((error: unknown) => {
    if (!(error instanceof Exit)) throw error
    said.code = error.exitCode
  })
  return said
}

async function found(key: string) {
  const store = await TenantStore.connect({ url: redis.url, role: 'gateway', now: () => nowMs })
  return store.find(key.trim()).finally(() => store.close())
}

describe('keys create', () => {
  test('prints the key alone, fit to be piped, and says that this was the only time', async () => {
    const { out, err, code } = await run('keys create --tenant acme')
    expect(code).toBe(0)
    expect(out).toMatch(/^mr_[0-9a-f]{16}_[\w-]{43}\n$/)
    expect(err).toContain('will not be shown again')
    expect(await found(out)).toMatchObject({
      tenant: 'acme',
      scopes: ['submit', 'read'],
      tokensPerMinute: null,
    })
  })

  test('gives the key what the options say', async () => {
    const { out } = await run(
      'keys create --tenant acme --name ci --scope admin --scope read --tokens-per-minute 100 --expires-in 30d --json',
    )
    const made = JSON.parse(out)
    expect(made).toMatchObject({
      tenant: 'acme',
      name: 'ci',
      scopes: ['read', 'admin'],
      tokens_per_minute: 100,
      created_at: '2026-01-02T00:00:00.000Z',
      expires_at: '2026-02-01T00:00:00.000Z',
      revoked_at: null,
      state: 'active',
    })
    expect(await found(made.key)).toMatchObject({ id: made.id, tokensPerMinute: 100 })
  })
})

describe('keys list', () => {
  test('shows every key and never its text', async () => {
    const { out: key } = await run('keys create --tenant acme --name one')
    await run('keys create --tenant other --name two --expires-in 1h')
    const { out, code } = await run('keys list')
    expect(code).toBe(0)
    const [head, first, second, ...rest] = out.trimEnd().split('\n')
    expect(head).toMatch(/^ID +TENANT +NAME +SCOPES/)
    expect([first, second].join()).toMatch(/acme +one +submit,read +- +2026-01-02 +- +active/)
    expect([first, second].join()).toMatch(/other +two .* active/)
    expect(rest).toEqual([])
    const json = await run('keys list --json --tenant acme')
    expect(JSON.parse(json.out)).toMatchObject([{ name: 'one' }])
    expect(out + json.out).not.toContain(key.trim().slice(20))
  })

  test('with none is no fault', async () => {
    expect(await run('keys list')).toEqual({ out: '', err: 'There are no keys.\n', code: 0 })
    expect(JSON.parse((await run('keys list --json')).out)).toEqual([])
  })
})

describe('keys revoke', () => {
  test('ends the key, and says so where it was the last', async () => {
    const first = JSON.parse((await run('keys create --tenant a --json')).out)
    const last = JSON.parse((await run('keys create --tenant b --json')).out)
    const revoked = await run(`keys revoke ${first.id}`)
    expect(revoked).toMatchObject({ code: 0, err: expect.not.stringContaining('No key is left') })
    expect(await found(first.key)).toBeUndefined()
    expect(await found(last.key)).toBeDefined()
    expect((await run(`keys revoke ${last.id}`)).err).toContain('No key is left')
  })

  test('of an unknown key is a fault, told without a stack', async () => {
    const { err, code } = await run('keys revoke ffffffffffffffff')
    expect(code).toBe(1)
    expect(err).toMatch(/^✗ There is no key 'ffffffffffffffff'.*\n$/)
  })
})

describe('webhook-secrets', () => {
  test('show, rotate and drop-old lead from one secret to the next', async () => {
    const { out: first } = await run('webhook-secrets show --tenant acme')
    expect(first).toMatch(/^whsec_\S{44}\n$/)
    const { out: both } = await run('webhook-secrets rotate --tenant acme')
    expect(both.endsWith(first)).toBe(true)
    expect((await run('webhook-secrets drop-old --tenant acme')).err).toContain('1 old')
    const { out: left } = await run('webhook-secrets show --tenant acme')
    expect(left).toBe(both.slice(0, left.length))
    expect(left).not.toBe(first)
  })
})

test.each([
  'keys',
  'keys create',
  'keys create --tenant Acme',
  'keys create --tenant acme --scope write',
  'keys create --tenant acme --tokens-per-minute 1.5',
  'keys create --tenant acme --expires-in 30',
  'keys create --tenant acme --name \u0007',
  'keys revoke',
  'keys rename',
  'webhook-secrets show',
  'webhook-secrets show --tenant ../x',
])('wrong usage ends with 2, says why and changes nothing: %j', async (line) => {
  const { out, err, code } = await run(line)
  expect(code).toBe(2)
  expect(out).toBe('')
  expect(err).not.toBe('')
  expect(await redis.client().keys('*')).toEqual([])
})

test.each(['keys', 'keys create', 'webhook-secrets'])(
  '%s --help shows examples and ends with 0',
  async (line) => {
    const { out, code } = await run(`${line} --help`)
    expect(code).toBe(0)
    expect(out).toContain('Examples:\n  $ millrace ')
  },
)

test('a Redis that is away is a fault with its address, without its password', async () => {
  const port = await freePort()
  const { out, err, code } = await run('keys list', `redis://user:hidden@127.0.0.1:${port}`)
  expect({ out, code }).toEqual({ out: '', code: 1 })
  expect(err).toContain(`127.0.0.1:${port}`)
  expect(err).not.toContain('hidden')
  expect(err.trimEnd().split('\n')).toHaveLength(1)
})
