/** Who may do what, and who sees what: API keys, tenants and their limits, through two gateways. */
import { embeddingListSchema, jobListSchema, jobSchema, problemSchema } from '@millrace/contracts'
import { TenantStore } from '@millrace/tenants'
import { eventually } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeWorker, rememberResults } from './fake-worker.js'
import { bodyOf, everyTask, GatewayUnderTest, model } from './gateway-under-test.js'
import type { Gateway } from './start-gateway.js'

type Headers = Record<string, string>

let site: GatewayUnderTest
let tenants: TenantStore
let worker: FakeWorker | undefined
/** By how much the gateways' clocks are ahead: keys that they know are taken as fresh for 10 s. */
let aheadMs = 0
const now = () => Date.now() + aheadMs

beforeAll(async () => {
  site = await GatewayUnderTest.start({}, { now })
  tenants = await TenantStore.connect({ url: site.queue.url, role: 'cli' })
})
afterEach(async () => {
  await worker?.stop()
  worker = undefined
})
afterAll(async () => {
  await tenants?.close()
  await site?.stop()
})

const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))
const codeOf = async (response: Response) => [
  response.status,
  problemSchema.parse(await bodyOf(response)).code,
]
const bearer = (key: string): Headers => ({ authorization: `Bearer ${key}` })
const keyOf = async (tenant: string, more: Partial<Parameters<TenantStore['create']>[0]> = {}) =>
  tenants.create({ tenant, name: 'test', scopes: ['submit', 'read'], ...more })

describe('while no key was ever made', () => {
  test('everyone is the default tenant, whatever key is shown', async () => {
    const body = { model, input: 'open' }
    const job = await jobOf(await site.post(body, bearer('sk-anything')))
    expect((await site.call(`/v1/jobs/${job.id}`)).status).toBe(200)
  })

  test('a gateway that requires keys lets nobody in', async () => {
    const strict = await site.another({ KEYS_REQUIRED: 'true' })
    const response = await site.post({ model, input: 'a' }, {}, strict)
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="Millrace"')
    expect(await codeOf(response)).toEqual([401, 'unauthorized'])
    await strict.close()
  })

  test('the first key closes the door of a gateway that runs within 10 s', async () => {
    expect((await site.post({ model, input: 'a' })).status).toBe(202)
    await keyOf('first')
    aheadMs += 10_000
    expect((await site.post({ model, input: 'a' })).status).toBe(401)
  })
})

describe('with keys', () => {
  let other: Gateway
  let alice: Headers
  let bob: Headers

  beforeAll(async () => {
    other = await site.another({}, { now })
    alice = (await freshKey('alice')).headers
    bob = (await freshKey('bob')).headers
  })

  /** A key that every gateway knows: it may take each of them 0.1 s to hear of it. */
  async function freshKey(...given: Parameters<typeof keyOf>) {
    const made = await keyOf(...given)
    for (const gateway of [site.gateway, other]) {
      const init = { headers: bearer(made.key) }
      await eventually(async () => (await site.call('/v1/nothing', init, gateway)).status !== 401)
    }
    return { ...made, headers: bearer(made.key) }
  }

  const as = (who: Headers, path: string, method = 'GET', at: Gateway = other) =>
    site.call(path, { method, headers: who }, at)

  describe('a request', () => {
    test.each<[string, Headers, string]>([
      ['no key', {}, 'Bearer realm="Millrace"'],
      ['a key that is none', bearer('mr_nonsense'), 'Bearer realm="Millrace", error="invalid_token"'],
      [
        'an unknown key',
        bearer(`mr_${'0'.repeat(16)}_${'A'.repeat(43)}`),
        'Bearer realm="Millrace", error="invalid_token"',
      ],
      ['another scheme', { authorization: 'Basic YTpi' }, 'Bearer realm="Millrace"'],
    ])('with %s is 401 on every route, and nothing is stored', async (_name, headers, challenge) => {
      const before = await site.queue.client().dbsize()
      const id = '01890000-0000-7000-8000-000000000000'
      const routes = [
        ['POST', '/v1/jobs'],
        ['PUT', `/v1/jobs/${id}`],
        ['GET', '/v1/jobs'],
        ['GET', `/v1/jobs/${id}`],
        ['GET', `/v1/jobs/${id}/events`],
        ['POST', `/v1/jobs/${id}/cancel`],
        ['POST', `/v1/jobs/${id}/retry`],
        ['POST', `/v1/jobs/${id}/webhook/redeliver`],
        ['POST', '/v1/embeddings'],
        ['GET', '/v1/models'],
        ['GET', '/v1/nothing'],
      ] as const
      for (const [method, path] of routes) {
        const sent = { 'content-type': 'application/json', ...headers }
        const body = method === 'GET' ? null : JSON.stringify({ model, input: 'a' })
        const response = await site.call(path, { method, headers: sent, body }, other)
        expect([path, response.status]).toEqual([path, 401])
        expect(response.headers.get('www-authenticate')).toBe(challenge)
        const answer = await bodyOf(response)
        expect(answer.code ?? answer.error.code).toBe('unauthorized')
      }
      expect(await site.queue.client().dbsize()).toBe(before)
    })

    test('needs none to ask whether this process lives, for the description, and for the page of it', async () => {
      for (const path of ['/livez', '/readyz', '/openapi.json', '/docs', '/metrics']) {
        expect([path, (await site.call(path, {}, other)).status]).toEqual([path, 200])
      }
    })

    test('may show its key as X-API-Key', async () => {
      const { key } = await freshKey('alice')
      expect((await site.post({ model, input: 'a' }, { 'x-api-key': key }, other)).status).toBe(202)
    })

    test.each([
      ['read', 'POST', '/v1/jobs', 'submit'],
      ['read', 'POST', '/v1/embeddings', 'submit'],
      ['read', 'POST', '/v1/jobs/x/cancel', 'submit'],
      ['read', 'POST', '/v1/jobs/x/retry', 'submit'],
      ['read', 'POST', '/v1/jobs/x/webhook/redeliver', 'submit'],
      ['submit', 'GET', '/v1/jobs', 'read'],
      ['submit', 'GET', '/v1/jobs/x', 'read'],
      ['submit', 'GET', '/v1/jobs/x/events', 'read'],
      ['submit', 'GET', '/v1/models', 'read'],
    ] as const)('of a key that may only %s is 403 at %s %s', async (scope, method, path, needed) => {
      const { key } = await freshKey('alice', { scopes: [scope] })
      const response = await as(bearer(key), path, method)
      const challenge = `Bearer realm="Millrace", error="insufficient_scope", scope="${needed}"`
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([403, challenge])
      const answer = await bodyOf(response)
      expect(answer.code ?? answer.error.code).toBe('forbidden')
    })
  })

  test('a revoked key opens nothing any more, at any gateway, within 10 s; its jobs stay', async () => {
    const { key, info } = await freshKey('carol')
    const second = (await freshKey('carol')).headers
    const { id } = await jobOf(await site.post({ model, input: 'a' }, bearer(key), other))
    expect((await as(bearer(key), `/v1/jobs/${id}`, 'GET', site.gateway)).status).toBe(200)
    await tenants.revoke(info.id)
    aheadMs += 10_000
    for (const gateway of [site.gateway, other]) {
      expect((await as(bearer(key), `/v1/jobs/${id}`, 'GET', gateway)).status).toBe(401)
    }
    expect((await as(second, `/v1/jobs/${id}`)).status).toBe(200)
  })

  test('a tenant’s job is unknown to every other, whatever they try, and untouched by it', async () => {
    const webhook = { url: 'https://93.184.216.34/hook' }
    const { id } = await jobOf(await site.post({ model, input: 'secret', webhook }, alice, other))
    const before = await jobOf(await as(alice, `/v1/jobs/${id}`))
    for (const gateway of [site.gateway, other]) {
      for (const [method, path] of [
        ['GET', ''],
        ['GET', '?wait=5'],
        ['GET', '/events'],
        ['POST', '/cancel'],
        ['POST', '/retry'],
        ['POST', '/webhook/redeliver'],
      ]) {
        const unknown = await as(bob, `/v1/jobs/01890000-0000-7000-8000-000000000000${path}`, method, gateway)
        const hidden = await as(bob, `/v1/jobs/${id}${path}`, method, gateway)
        expect([path, hidden.status]).toEqual([path, 404])
        const [a, b] = [await bodyOf(hidden), await bodyOf(unknown)]
        expect(a.code).toBe('job_not_found')
        // Word for word what is said of a job that never was.
        expect(a.detail.replace(id, '')).toBe(b.detail.replace('01890000-0000-7000-8000-000000000000', ''))
      }
    }
    expect(await jobOf(await as(alice, `/v1/jobs/${id}`))).toEqual(before)
    const { data } = jobListSchema.parse(await bodyOf(await as(bob, '/v1/jobs?limit=100')))
    expect(data.map((job) => job.id)).not.toContain(id)
    const own = jobListSchema.parse(await bodyOf(await as(alice, '/v1/jobs?limit=100')))
    expect(own.data.map((job) => job.id)).toContain(id)
  })

  test('a job answered at once is its tenant’s own too', async () => {
    worker = await FakeWorker.start(site.queue.url)
    await rememberResults(site.cacheServer.url, ['known to alice'], 'tenant:alice')
    const job = await jobOf(await site.post({ model, input: 'known to alice' }, alice, other))
    expect(job.status).toBe('succeeded')
    await eventually(async () => (await as(alice, `/v1/jobs/${job.id}`)).status === 200)
    expect(await codeOf(await as(bob, `/v1/jobs/${job.id}`))).toEqual([404, 'job_not_found'])
  })

  test('results are each tenant’s own: the same text of another is a miss', async () => {
    worker = await FakeWorker.start(site.queue.url)
    await rememberResults(site.cacheServer.url, ['same text'], 'tenant:alice')
    const hit = await site.post({ model, input: 'same text' }, alice, other)
    expect(hit.headers.get('x-cache')).toBe('hit')
    const miss = await site.post({ model, input: 'same text' }, { ...bob, prefer: 'wait=10' }, other)
    expect([miss.status, miss.headers.get('x-cache')]).toEqual([200, 'miss'])
    expect(worker.computed).toContain('same text')
    const openai = await site.send('/v1/embeddings', { model, input: 'same text' }, alice, other)
    expect(openai.headers.get('x-cache')).toBe('hit')
  })

  test('CACHE_SCOPE=shared lets all share results', async () => {
    worker = await FakeWorker.start(site.queue.url)
    const shared = await site.another({ CACHE_SCOPE: 'shared' })
    await rememberResults(site.cacheServer.url, ['shared text'], 'shared')
    for (const who of [alice, bob]) {
      const hit = await site.post({ model, input: 'shared text' }, who, shared)
      expect(hit.headers.get('x-cache')).toBe('hit')
    }
    const openai = await site.send('/v1/embeddings', { model, input: 'shared text' }, bob, shared)
    embeddingListSchema.parse(await bodyOf(openai))
    expect(openai.headers.get('x-cache')).toBe('hit')
    expect(worker.computed).not.toContain('shared text')
    await shared.close()
  })

  describe('a tenant with a limit of tokens', () => {
    const told = ({ headers }: Response) =>
      ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after'].map((name) =>
        headers.get(name),
      )

    test('is told what is left at every gateway, and 429 with Retry-After once nothing is', async () => {
      const who = (await freshKey('dave', { tokensPerMinute: 10 })).headers
      const body = { model, input: 'one two three' } // 5 tokens with the two special ones
      const first = await site.post(body, who, other)
      expect([first.status, ...told(first)]).toEqual([202, '10', '5', expect.stringMatching(/^\d+$/), null])
      const second = await site.post(body, who, site.gateway)
      expect([second.status, second.headers.get('ratelimit-remaining')]).toEqual([202, '0'])
      const chunks = await site.waitingChunks()
      const refused = await site.post(body, who, other)
      const [limit, remaining, reset, retryAfter] = told(refused)
      expect([limit, remaining, retryAfter]).toEqual(['10', '0', reset])
      expect(Number(retryAfter)).toBeGreaterThan(0)
      expect(Number(retryAfter)).toBeLessThanOrEqual(60)
      expect(await codeOf(refused)).toEqual([429, 'rate_limited'])
      expect(await site.waitingChunks()).toEqual(chunks)
    })

    test('has one budget for jobs and for OpenAI’s route', async () => {
      const who = (await freshKey('erin', { tokensPerMinute: 8 })).headers
      expect((await site.post({ model, input: 'one two three' }, who, other)).status).toBe(202)
      const refused = await site.send('/v1/embeddings', { model, input: 'one two three' }, who, other)
      expect([refused.status, (await bodyOf(refused)).error.type]).toEqual([429, 'rate_limit_error'])
      expect(refused.headers.get('ratelimit-remaining')).toBe('3')
    })

    test('cannot ask for more at once than it has in a whole minute', async () => {
      const who = (await freshKey('frank', { tokensPerMinute: 4 })).headers
      const refused = await site.post({ model, input: 'one two three' }, who, other)
      expect(told(refused).slice(0, 2)).toEqual(['4', '4'])
      expect(await codeOf(refused)).toEqual([413, 'body_too_large'])
    })

    test('is charged what a model may write for each input, beside what it reads', async () => {
      const writing = await site.another(everyTask)
      const who = (await freshKey('gina', { tokensPerMinute: 1000 })).headers
      // `ok` is 3 tokens with the one that begins a text.
      const body = { model: 'tiny-writer', inputs: ['ok', 'ok'], options: { max_new_tokens: 40 } }
      const response = await site.post(body, who, writing)
      expect([response.status, ...told(response).slice(0, 2)]).toEqual([202, '1000', String(1000 - 2 * 43)])
      await writing.close()
    })

    test('of one without nothing is said', async () => {
      expect(told(await site.post({ model, input: 'a' }, alice, other))).toEqual([null, null, null, null])
    })
  })
})
