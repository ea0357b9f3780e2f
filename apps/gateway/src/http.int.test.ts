import { type IncomingMessage, request } from 'node:http'
import { problemSchema } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'

let site: GatewayUnderTest

beforeAll(async () => {
  site = await GatewayUnderTest.start()
})
afterAll(() => site?.stop())

const call: GatewayUnderTest['call'] = (...args) => site.call(...args)
const post: GatewayUnderTest['post'] = (...args) => site.post(...args)

/** fetch always says how long a body is; this does not. */
function postChunked(body: string, at = site.gateway.url): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }
    const sent = request(`${at}/v1/jobs`, { method: 'POST', headers }, (answer) => {
      answer.resume()
      resolve(answer)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

async function keysOfJobs(): Promise<string[]> {
  const keys = await site.queue.client().keys('*')
  return keys.filter((key) => !key.includes('fleet') && !key.endsWith(':meta'))
}

describe('bad input is refused with its own code, and nothing is stored or queued', () => {
  const long = 'many words of a text that goes on and on '.repeat(100)
  const good = { model, input: 'a' }
  const cases: [string, unknown, number, string, string | undefined][] = [
    ['broken JSON', '{"model": ', 400, 'malformed_json', undefined],
    ['no body', '', 400, 'malformed_json', undefined],
    ['an array', '[]', 400, 'invalid_request', '(body)'],
    ['null', 'null', 400, 'invalid_request', '(body)'],
    ['no model', { input: 'a' }, 400, 'invalid_request', 'model'],
    ['a number as model', { model: 1, input: 'a' }, 400, 'invalid_request', 'model'],
    ['neither input nor inputs', { model }, 400, 'invalid_request', 'input'],
    ['both input and inputs', { ...good, inputs: ['b'] }, 400, 'invalid_request', 'input'],
    ['a number as input', { model, input: 1 }, 400, 'invalid_request', 'input'],
    ['a number among inputs', { model, inputs: ['a', 'b', 'c', 4] }, 400, 'invalid_request', 'inputs[3]'],
    [
      'an unknown encoding',
      { ...good, options: { encoding: 'hex' } },
      400,
      'invalid_request',
      'options.encoding',
    ],
    [
      'a word as truncate',
      { ...good, options: { truncate: 'yes' } },
      400,
      'invalid_request',
      'options.truncate',
    ],
    ['an unknown model', { model: 'nope', input: 'a' }, 404, 'model_not_found', 'model'],
    ['a prototype’s name as model', { model: '__proto__', input: 'a' }, 404, 'model_not_found', 'model'],
    ['an empty input', { model, input: '' }, 422, 'empty_input', 'input'],
    ['an empty item', { model, inputs: ['a', ''] }, 422, 'empty_input', 'inputs[1]'],
    ['no items', { model, inputs: [] }, 422, 'empty_input', 'inputs'],
    ['too many items', { model, inputs: Array(9).fill('a') }, 422, 'too_many_items', 'inputs'],
    ['too many characters', { model, input: 'x'.repeat(5001) }, 422, 'input_too_long', 'input'],
    ['too many tokens', { model, inputs: ['a', long] }, 422, 'input_too_long', 'inputs[1]'],
    [
      'half a surrogate pair',
      '{"model":"all-MiniLM-L6-v2","input":"\\ud800"}',
      422,
      'invalid_input',
      'input',
    ],
    ['too large a body', { model, input: 'x'.repeat(21_000) }, 413, 'body_too_large', undefined],
  ]

  test.each(cases)('%s', async (_name, body, status, code, path) => {
    const response = await post(body)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = problemSchema.parse(await bodyOf(response))
    expect(problem).toMatchObject({ status, code, request_id: response.headers.get('x-request-id') })
    expect(problem.errors[0]?.path).toBe(path)
    expect(await keysOfJobs()).toEqual([])
  })

  test('an unknown field, at the top and among the options', async () => {
    for (const body of [
      { ...good, urgency: 1 },
      { ...good, options: { pooling: 'max' } },
    ]) {
      const response = await post(body)
      expect(response.status).toBe(400)
      expect(await response.text()).toMatch(/urgency|pooling/)
    }
    expect(await keysOfJobs()).toEqual([])
  })

  test('too large a body of undeclared length', async () => {
    expect((await postChunked(JSON.stringify({ model, input: 'x'.repeat(21_000) }))).statusCode).toBe(413)
    expect(await keysOfJobs()).toEqual([])
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', ''])(
    'media type "%s" is 415',
    async (type) => {
      const body = new Blob([JSON.stringify(good)])
      const response = await call('/v1/jobs', {
        method: 'POST',
        headers: type ? { 'content-type': type } : {},
        body,
      })
      expect(response.status).toBe(415)
      expect(await bodyOf(response)).toMatchObject({ code: 'unsupported_media_type' })
      expect(await keysOfJobs()).toEqual([])
    },
  )

  test('an unknown job, also under an id that is none', async () => {
    for (const id of ['01890000-0000-7000-8000-000000000000', 'nonsense', '%00', '..%2f..%2fetc']) {
      const response = await call(`/v1/jobs/${id}`)
      expect([response.status, (await bodyOf(response)).code]).toEqual([404, 'job_not_found'])
    }
  })

  test('an unknown path is 404, a known one under another method 405 with Allow', async () => {
    expect(await bodyOf(await call('/v1/nothing'))).toMatchObject({ status: 404, code: 'not_found' })
    for (const [method, path, allow] of [
      ['DELETE', '/v1/jobs', 'POST, GET'],
      ['POST', '/v1/jobs/x', 'PUT, GET'],
      ['GET', '/v1/jobs/x/cancel', 'POST'],
    ] as const) {
      const response = await call(path, { method })
      expect([path, response.headers.get('allow')]).toEqual([path, allow])
      expect(await bodyOf(response)).toMatchObject({ status: 405, code: 'method_not_allowed' })
    }
  })
})

describe('what is served beside', () => {
  test('the API description names each route with its problems', async () => {
    const document = await bodyOf(await call('/openapi.json'))
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths).sort()).toEqual([
      '/livez',
      '/readyz',
      '/v1/classify',
      '/v1/embeddings',
      '/v1/jobs',
      '/v1/jobs/{id}',
      '/v1/jobs/{id}/cancel',
      '/v1/jobs/{id}/events',
      '/v1/jobs/{id}/retry',
      '/v1/jobs/{id}/webhook/redeliver',
      '/v1/models',
      '/v1/rerank',
    ])
    const statuses = Object.keys(document.paths['/v1/jobs'].post.responses)
    const refusals = ['400', '401', '403', '404', '410', '413', '415', '422', '429', '500', '503']
    expect(statuses).toEqual(['200', '202', ...refusals])
  })

  test('/metrics names requests by their pattern', async () => {
    await call('/v1/jobs/nonsense')
    const text = await (await call('/metrics')).text()
    expect(text).toContain('millrace_http_requests_total{route="/v1/jobs/{id}",method="GET",status="404"}')
    expect(text).not.toContain('nonsense')
  })

  test('the dashboard, its API and its files need the admin key, and it is read-only', async () => {
    const authorization = `Basic ${Buffer.from('admin:open sesame').toString('base64')}`
    const page = await call('/admin/queues', { headers: { authorization } })
    expect(page.status).toBe(200)
    const html = await page.text()
    expect(html).not.toMatch(/(href|src)="(https?:)?\/\//)
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    const [script = ''] = /static\/js\/main[^"]+/.exec(html) ?? []
    for (const path of ['', '/', '/api/queues', `/${script}`, '/queue/x']) {
      expect([path, (await call(`/admin/queues${path}`)).status]).toEqual([path, 401])
      expect([path, (await call(`/admin/queues${path}`, { headers: { authorization } })).status]).toEqual([
        path,
        200,
      ])
    }
    const queues = await bodyOf(await call('/admin/queues/api/queues', { headers: { authorization } }))
    const [{ name, readOnlyMode }] = queues.queues
    expect(readOnlyMode).toBe(true)
    const pause = `/admin/queues/api/queues/${encodeURIComponent(name)}/pause`
    expect((await call(pause, { method: 'PUT', headers: { authorization } })).status).toBe(405)
  })
})
