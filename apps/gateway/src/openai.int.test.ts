/** OpenAI's own client, unmodified, against a gateway's embeddings route, a real worker and the starter model. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { loadConfig } from '@millrace/config'
import { openAiErrorSchema } from '@millrace/contracts'
import { eventually, type Fleet, startFleet } from '@millrace/testkit'
import { loadTextTokenizer, type TextTokenizer } from '@millrace/tokenizer'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway } from './start-gateway.js'

const model = 'all-MiniLM-L6-v2'
const root = new URL('../../..', import.meta.url).pathname

interface Site {
  url: string
  client: OpenAI
}

let fleet: Fleet
let tokenizer: TextTokenizer
let site: Site
let gateways = 0
const closers: (() => Promise<void>)[] = []

/** A gateway of this process, in front of the fleet's worker. */
async function startSite(env: Record<string, string> = {}): Promise<Site> {
  const config = loadConfig(
    {},
    {
      MILLRACE_CONFIG: `${root}millrace.json`,
      QUEUE_REDIS_URL: fleet.queueRedis.url,
      CACHE_REDIS_URL: fleet.cacheRedis.url,
      PORT: '0',
      LOG_LEVEL: 'silent',
      BODY_LIMIT_BYTES: '200000',
      ...env,
    },
  )
  const gateway = await startGateway(config)
  closers.push(() => gateway.close())
  gateways += 1
  const { url } = gateway
  return { url, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }) }
}

/** A gateway that has not the model's files: they come from a hub, and only workers fetch them. */
async function startUnaware(): Promise<Site> {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-unaware-'))
  closers.push(() => rm(dir, { recursive: true }))
  const hub = { hub: 'some/model', revision: '0'.repeat(40), task: 'feature-extraction', dtype: 'q8' }
  const file = join(dir, 'millrace.json')
  await writeFile(file, JSON.stringify({ models: { [model]: hub } }))
  return startSite({ MILLRACE_CONFIG: file })
}

beforeAll(async () => {
  fleet = await startFleet({ root, gateways: 0, workers: 1 })
  tokenizer = await loadTextTokenizer(`${root}models/${model}`)
  site = await startSite()
})
afterAll(async () => {
  for (const close of closers.reverse()) await close()
  await fleet?.stop()
})

let fresh = 0
const freshText = () => {
  fresh += 1
  return `A sentence that nobody has sent before, number ${fresh}.`
}

const post = (body: unknown, type = 'application/json', at = site) =>
  fetch(`${at.url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const cosine = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)

const embed = async (input: OpenAI.EmbeddingCreateParams['input'], at = site) =>
  (await at.client.embeddings.create({ model, input })).data.map(({ embedding }) => embedding)

const keysLike = (pattern: string) => fleet.queueRedis.client().keys(pattern)

/** What the client throws, as a plain object. */
async function refused(body: object, at = site): Promise<Record<string, unknown>> {
  const params = { model, input: 'a', ...body } as OpenAI.EmbeddingCreateParams
  const error = await at.client.embeddings.create(params).then(() => undefined, Object)
  return { class: error?.constructor.name, ...error, message: error?.message }
}

describe('the official client', () => {
  test('gets the embedding of a text, and the tokens it was charged for', async () => {
    const answer = await site.client.embeddings.create({ model, input: 'Hello, world!' })
    expect(answer).toMatchObject({ object: 'list', model, usage: { prompt_tokens: 6, total_tokens: 6 } })
    expect(answer.data).toHaveLength(1)
    const [first] = answer.data
    expect(first).toMatchObject({ object: 'embedding', index: 0 })
    expect(first?.embedding).toHaveLength(384)
    expect(cosine(first?.embedding, first?.embedding)).toBeCloseTo(1, 5)
  })

  test('reads the same numbers from base64, which it asks for by default, and from JSON', async () => {
    const input = freshText()
    const [bytes = []] = await embed(input)
    const asked = await site.client.embeddings.create({ model, input, encoding_format: 'float' })
    const numbers = asked.data[0]?.embedding ?? []
    expect(numbers).toHaveLength(384)
    expect(numbers.map(Math.fround)).toEqual([...bytes])
  })

  test('gets an array’s embeddings in its order, duplicates too, under their indexes', async () => {
    const [cat, car] = ['A cat sits on the mat.', 'The car needs a new engine.']
    const input = [cat, car, cat, 'A kitten lies on the rug.']
    const answer = await site.client.embeddings.create({ model, input })
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    const [a, b, c, d] = answer.data.map(({ embedding }) => embedding)
    expect(c).toEqual(a)
    expect(cosine(a, d)).toBeGreaterThan(cosine(a, b) + 0.2)
    const tokens = input.map((text) => tokenizer.count(text)).reduce((sum, count) => sum + count)
    expect(answer.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
  })

  test('may send as many inputs as OpenAI takes', async () => {
    const three = [freshText(), freshText(), freshText()]
    const input = Array.from({ length: 2048 }, (_, i) => three[i % 3] ?? '')
    const vectors = await embed(input)
    expect(vectors).toHaveLength(2048)
    expect(vectors[2047]).toEqual(vectors[1])
    expect(await refused({ input: [...input, 'one more'] })).toMatchObject({
      class: 'BadRequestError',
      code: 'too_many_items',
      param: 'input',
    })
  })

  test('gets the text’s own embedding for its token ids, with and without the special ones', async () => {
    const text = freshText()
    const framed = [...tokenizer.encode(text, { truncate: false }).ids]
    const bare = framed.slice(1, -1)
    const [ofText] = await embed(text)
    const answer = await site.client.embeddings.create({ model, input: [bare, framed] })
    for (const { embedding } of answer.data) expect(cosine(embedding, ofText)).toBeCloseTo(1, 4)
    expect(answer.usage.prompt_tokens).toBe(2 * framed.length)
    const [ofOne] = await embed(bare)
    expect(cosine(ofOne, ofText)).toBeCloseTo(1, 4)
  })

  test('may name the model’s own number of dimensions, and send fields that nobody knows', async () => {
    const extra = { model, input: 'Hello, world!', dimensions: 384, user: 'u1', input_type: 'query' }
    expect((await site.client.embeddings.create(extra)).data[0]?.embedding).toHaveLength(384)
  })
})

test('the example prints how alike its two sentences are', async () => {
  const { stdout } = await promisify(execFile)('node', [`${root}examples/openai/similarity.mjs`, site.url])
  expect(stdout).toMatch(
    /^0\.\d{3} {2}How do I reset my password\? {2}I forgot my login\. {2}\(\d+ tokens\)\n$/,
  )
})

describe('what is known', () => {
  test('is answered again without a job, a queue or a record', async () => {
    const body = { model, input: [freshText(), freshText()] }
    const first = await post(body)
    expect([first.status, first.headers.get('x-cache')]).toEqual([200, 'miss'])
    expect(await keysLike(`*${first.headers.get('x-job-id')}*`)).not.toEqual([])
    const before = (await keysLike('*')).sort()
    const again = await post(body)
    expect([again.status, again.headers.get('x-cache')]).toEqual([200, 'hit'])
    expect(again.headers.get('x-job-id')).toBeNull()
    expect(await again.text()).toBe(await first.text())
    expect((await keysLike('*')).sort()).toEqual(before)
    const more = await post({ ...body, input: [...body.input, freshText()] })
    expect(more.headers.get('x-cache')).toBe('partial')
  })
})

describe('errors have OpenAI’s form', () => {
  const long = 'word '.repeat(300)
  test.each<[string, object, string, string, string | null, RegExp]>([
    ['an unknown model', { model: 'nope' }, 'NotFoundError', 'model_not_found', 'model', /no model 'nope'/],
    ['no input', { input: undefined }, 'BadRequestError', 'invalid_request', 'input', /token ids/],
    [
      'an empty text',
      { input: ['a', ''] },
      'BadRequestError',
      'empty_input',
      'input',
      /input\[1\]: is empty/,
    ],
    ['no texts', { input: [] }, 'BadRequestError', 'empty_input', 'input', /at least one/],
    [
      'no token ids',
      { input: [[7592], []] },
      'BadRequestError',
      'empty_input',
      'input',
      /input\[1\]: is empty/,
    ],
    [
      'too long a text',
      { input: ['a', long] },
      'BadRequestError',
      'input_too_long',
      'input',
      /input\[1\]: .*256/,
    ],
    [
      'too many token ids',
      { input: Array(255).fill(7592) },
      'BadRequestError',
      'input_too_long',
      'input',
      /input: 257 tokens, .* at most 256/,
    ],
    [
      'another model’s token ids',
      { input: [[7592], [1, 100_257]] },
      'BadRequestError',
      'invalid_input',
      'input',
      /input\[1\]: 100257 is not a token/,
    ],
    [
      'a text in the guise of token ids',
      { input: ['a', '\u0000token-ids:1,2'] },
      'BadRequestError',
      'invalid_input',
      'input',
      /input\[1\]: begins with a mark/,
    ],
    ['half a character', { input: '\ud800' }, 'BadRequestError', 'invalid_input', 'input', /surrogate/],
    ['other dimensions', { dimensions: 256 }, 'BadRequestError', 'invalid_request', 'dimensions', /384/],
    [
      'an unknown encoding',
      { encoding_format: 'hex' },
      'BadRequestError',
      'invalid_request',
      'encoding_format',
      /encoding_format/,
    ],
    ['too large a body', { user: 'x'.repeat(210_000) }, 'APIError', 'body_too_large', null, /200000 bytes/],
  ])('%s', async (_name, body, kind, code, param, message) => {
    const before = (await keysLike('mr:*')).length
    const error = await refused(body)
    expect(error).toMatchObject({ class: kind, code, param, type: 'invalid_request_error' })
    expect(error.message).toMatch(message)
    expect(error.requestID).toMatch(/^[0-9a-f-]{36}$/)
    expect((await keysLike('mr:*')).length).toBe(before)
  })

  test.each([
    ['broken JSON', '{"model":', 'application/json', 400, 'malformed_json'],
    ['an array', '[]', 'application/json', 400, 'invalid_request'],
    ['another media type', '{}', 'text/plain', 415, 'unsupported_media_type'],
  ])('%s', async (_name, body, type, status, code) => {
    const response = await post(body, type)
    expect(response.status).toBe(status)
    expect(openAiErrorSchema.parse(await response.json()).error).toMatchObject({ code, param: null })
  })

  test('a body with a million faults is refused by one, at once', async () => {
    const wide = await startSite({ BODY_LIMIT_BYTES: String(4 << 20) })
    const body = `{"model":"${model}","input":["a",${Array(1_000_000).fill('1').join(',')}]}`
    const response = await post(body, undefined, wide)
    expect(response.status).toBe(400)
    expect((await response.text()).length).toBeLessThan(500)
  })

  test('an input that the worker refuses fails the request, by its index', async () => {
    const unaware = await startUnaware()
    expect(await refused({ input: ['a', 'b', long] }, unaware)).toMatchObject({
      status: 400,
      code: 'input_too_long',
      param: 'input',
      message: expect.stringContaining('input[2]: '),
    })
    expect(await refused({ input: [[7592], [30_522]] }, unaware)).toMatchObject({
      status: 400,
      code: 'invalid_input',
      message: expect.stringContaining('input[1]: 30522 is not a token'),
    })
  })

  test('without the model’s files the gateway says 0 tokens rather than a guess', async () => {
    const unaware = await startUnaware()
    const answer = await unaware.client.embeddings.create({ model, input: freshText() })
    expect(answer.usage).toEqual({ prompt_tokens: 0, total_tokens: 0 })
  })

  test('a queue that is too deep is 429 and says when to come again', async () => {
    const narrow = await startSite({ QUEUE_LIMIT_CHUNKS: '1', CHUNK_ITEMS: '1' })
    const error = await refused({ input: [freshText(), freshText()] }, narrow)
    expect(error).toMatchObject({ class: 'RateLimitError', code: 'queue_full', type: 'rate_limit_error' })
    expect(Number((error.headers as Headers).get('retry-after'))).toBeGreaterThan(0)
  })
})

describe('a fleet in trouble', () => {
  test('a result that takes too long is 503; the client’s own retry finds it', async () => {
    const impatient = await startSite({ WAIT_LIMIT_S: '1' })
    const worker = fleet.workers[0]?.pid ?? 0
    const input = freshText()
    process.kill(worker, 'SIGSTOP')
    try {
      const error = await refused({ input }, impatient)
      expect(error).toMatchObject({ class: 'InternalServerError', status: 503, type: 'server_error' })
      const headers = error.headers as Headers
      expect(headers.get('x-should-retry')).toBe('true')
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    } finally {
      process.kill(worker, 'SIGCONT')
    }
    const patient = impatient.client.withOptions({ maxRetries: 5 })
    expect((await patient.embeddings.create({ model, input })).data[0]?.embedding).toHaveLength(384)
  })

  test('without the queue Redis a known text is answered and an unknown one is 503', async () => {
    const input = freshText()
    const before = await embed(input)
    await fleet.queueRedis.kill()
    try {
      expect(await embed(input)).toEqual(before)
      expect(await refused({ input: freshText() })).toMatchObject({ status: 503, code: 'queue_unavailable' })
    } finally {
      await fleet.queueRedis.restart()
      const client = fleet.queueRedis.client()
      // Every gateway listens again.
      await eventually(async () => (await client.pubsub('NUMSUB', 'mr:settled'))[1] === gateways)
    }
  })
})
