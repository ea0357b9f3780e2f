import { MillraceError, type SubmitJob } from '@millrace/contracts'
import { describe, expect, test } from 'vitest'
import { SubmitBodies } from './submit-bodies.js'

const model = 'm'
const parse = (body: unknown) =>
  new SubmitBodies().parse(typeof body === 'string' ? body : JSON.stringify(body))

function faultOf(body: unknown): MillraceError {
  try {
    parse(body)
  } catch (error) {
    if (error instanceof MillraceError) return error
    throw error
  }
  throw new Error('it was taken')
}

/** So many entries of `entry`, as JSON of some 4 MB. */
function wide(entry: (i: number) => string): string {
  const entries: string[] = []
  for (let bytes = 0; bytes < 4 << 20; bytes += (entries.at(-1)?.length ?? 0) + 1) {
    entries.push(entry(entries.length))
  }
  return entries.join(',')
}

test('what is not said has its default', () => {
  expect(parse({ model, input: 'a' })).toEqual({
    model,
    input: 'a',
    options: { truncate: false },
    priority: 0,
    metadata: {},
  } satisfies SubmitJob)
})

test('the same text is parsed once; a long one, and one that is refused, each time', () => {
  const bodies = new SubmitBodies()
  const short = JSON.stringify({ model, input: 'a' })
  expect(bodies.parse(short)).toBe(bodies.parse(short))
  const long = JSON.stringify({ model, input: 'a'.repeat(5000) })
  expect(bodies.parse(long)).not.toBe(bodies.parse(long))
  for (let i = 0; i < 2; i++) expect(() => bodies.parse('{}')).toThrow(MillraceError)
})

test('JSON that is none is told without what it holds', () => {
  const fault = faultOf('{"model": "secret", oops')
  expect(fault.code).toBe('malformed_json')
  expect(fault.message).not.toContain('secret')
})

describe('faults', () => {
  test('have paths as a client writes them', () => {
    const body = {
      model: '',
      inputs: ['a', 1],
      options: { encoding: 'hex' },
      metadata: { k: 1 },
      priority: 10,
    }
    const { errors } = faultOf(body)
    expect(errors.map(({ path }) => path).sort()).toEqual([
      'inputs[1]',
      'metadata.k',
      'model',
      'options.encoding',
      'priority',
    ])
  })

  test('of the body as a whole are at (body)', () => {
    for (const body of ['[]', 'null', '1', '"a"']) expect(faultOf(body).errors[0]?.path).toBe('(body)')
  })

  test('say nothing longer than a client can read', () => {
    const { errors, message } = faultOf({
      model,
      input: 'a',
      ['x'.repeat(100_000)]: 1,
      metadata: { ['y'.repeat(1e5)]: 1 },
    })
    expect(message.length).toBeLessThan(1000)
    for (const { path, detail } of errors) expect(path.length + detail.length).toBeLessThan(1000)
  })
})

describe('a large body', () => {
  test('of inputs that are none is refused with 32 named faults', () => {
    const { code, errors } = faultOf(`{"model":"m","inputs":[${wide(() => '1')}]}`)
    expect(code).toBe('invalid_request')
    expect(errors.map(({ path }) => path)).toEqual(Array.from({ length: 32 }, (_, i) => `inputs[${i}]`))
  })

  test.each<[string, string, string]>([
    ['unknown fields', `{"model":"m","input":"a",${wide((i) => `"${i}":1`)}}`, '(body)'],
    ['unknown options', `{"model":"m","input":"a","options":{${wide((i) => `"${i}":1`)}}}`, 'options'],
    ['metadata', `{"model":"m","input":"a","metadata":{${wide((i) => `"${i}":1`)}}}`, 'metadata'],
    [
      'webhook events',
      `{"model":"m","input":"a","webhook":{"url":"https://x.org","events":[${wide(() => '1')}]}}`,
      'webhook.events',
    ],
    ['members of the whole', `[${wide(() => '1')}]`, '(body)'],
  ])('of %s is refused by one fault, before each of them is looked at', (_name, body, path) => {
    const { errors } = faultOf(body)
    expect(errors).toMatchObject([{ path, detail: expect.stringMatching(/^holds \d+ entries$/) }])
  })

  test('of 1 MB of brackets does not end the stack: it is refused like any input that is none', () => {
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`
    for (const body of [`{"model":"m","input":${deep}}`, `{"model":"m","inputs":${deep}}`, `{"x":${deep}}`]) {
      expect(faultOf(body).code).toBe('invalid_request')
    }
  })
})
