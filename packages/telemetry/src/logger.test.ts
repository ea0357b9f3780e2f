import { describe, expect, test } from 'vitest'
import { createLogger, type LoggerOptions } from './logger.js'

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  const logger = createLogger({ level: 'trace', name: 'test', pretty: false, destination, ...options })
  return { logger, lines, output: () => lines.join(''), last: () => JSON.parse(lines.at(-1) ?? '{}') }
}

const secret = 'hunter2-hunter2'
const input = 'the private words of a client'

describe('no key and no input reaches the output', () => {
  const leaks: Record<string, (log: ReturnType<typeof capture>['logger']) => void> = {
    'a field': (log) => log.info({ input, adminKey: secret }, 'x'),
    'a deep field': (log) => log.info({ a: { b: { c: [{ d: { inputs: [input], api_key: secret } }] } } }),
    'a header': (log) => log.info({ headers: { Authorization: `Bearer ${secret}`, 'X-Api-Key': secret } }),
    'a cookie': (log) => log.info({ req: { headers: { cookie: secret, 'set-cookie': [secret] } } }),
    'an environment-like field': (log) => log.info({ config: { ADMIN_KEY: secret, REDIS_PASSWORD: secret } }),
    'a field beside bytes': (log) => log.info({ item: { text: input, bytes: Buffer.from(input) } }),
    'a body': (log) =>
      log.info({ body: { inputs: [input] }, rawBody: input, prompt: input, output: [input] }),
    'child bindings': (log) => log.child({ job: { inputs: [input], token: secret } }).info('x'),
    'bindings of a grandchild': (log) => log.child({ a: 1 }).child({ input }).info('x'),
    'bindings set later': (log) => log.setBindings({ input, authorization: secret }),
    'an object formatted into a message': (log) => log.info('got %o', { input, password: secret }),
    'an object after an object': (log) => log.info({ a: 1 }, 'got %j', { inputs: [input] }),
    'a URL': (log) => log.info({ url: `redis://:${secret}@127.0.0.1:6379` }, `redis://user:${secret}@host`),
    'a message with credentials': (log) => log.info(`sent Authorization: Bearer ${secret}`),
    'an error with fields': (log) => {
      log.error({ err: Object.assign(new Error('no'), { command: { name: 'set', args: [input] }, input }) })
    },
    'a cause with fields': (log) => {
      log.error(new Error('outer', { cause: Object.assign(new Error('inner'), { args: [input], secret }) }))
    },
    'a cause that is no error': (log) => log.error(new Error('outer', { cause: { inputs: [input] } })),
    'an error with a URL': (log) => log.error(new Error(`cannot reach redis://:${secret}@host:1/0`)),
    'a JSON error': (log) => {
      try {
        JSON.parse(input)
      } catch (error) {
        log.error({ err: error }, 'broken')
        log.error(error)
        log.error(new Error('malformed', { cause: error }))
      }
    },
  }
  for (const [place, leak] of Object.entries(leaks)) {
    test.each([false, true])(`through ${place} (pretty: %s)`, (pretty) => {
      const { logger, output } = capture({ pretty })
      leak(logger)
      logger.info('end')
      expect(output()).toContain('end')
      expect(output()).not.toContain(secret)
      expect(output()).not.toContain(input)
      expect(output()).not.toContain('the priva')
    })
  }

  test('through the bindings of the logger itself', () => {
    const { logger, output } = capture({ bindings: { worker: 'w1', apiKey: secret } })
    logger.info('end')
    expect(output()).toContain('w1')
    expect(output()).not.toContain(secret)
  })
})

test('what a reader needs stays: ids, counts, codes, plain URLs', () => {
  const { logger, last } = capture()
  logger
    .child({ requestId: 'r1', jobId: 'j1' })
    .info({ inputs: 3, tokens: 12, key: 'abc', url: 'http://127.0.0.1:8080/v1' })
  expect(last()).toMatchObject({
    level: 'info',
    name: 'test',
    requestId: 'r1',
    jobId: 'j1',
    inputs: 3,
    tokens: 12,
    key: 'abc',
    url: 'http://127.0.0.1:8080/v1',
  })
  expect(new Date(last().time).getTime()).toBeGreaterThan(0)
})

test('an error is shown with its code, its stack and the whole chain of its causes', () => {
  const { logger, last } = capture()
  const root = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  const outer = new TypeError('outer', { cause: new Error('middle', { cause: root }) })
  logger.error(outer)
  expect(last()).toMatchObject({
    msg: 'outer',
    err: {
      type: 'TypeError',
      message: 'outer',
      stack: expect.stringContaining('logger.test.ts'),
      cause: { message: 'middle', cause: { message: 'refused', code: 'ECONNREFUSED' } },
    },
  })
})

test('an error in any field is shown, and the errors of an AggregateError', () => {
  const { logger, last } = capture()
  logger.warn({ reason: { fault: new AggregateError([new Error('one'), new Error('two')], 'both') } })
  expect(last().reason.fault).toMatchObject({
    message: 'both',
    errors: [{ message: 'one' }, { message: 'two' }],
  })
})

test('cycles, getters that throw and endless data are printed within bounds', () => {
  const { logger, lines } = capture()
  const cycle: Record<string, unknown> = { name: 'cycle' }
  cycle.self = cycle
  const error = new Error('cyclic')
  error.cause = error
  const hostile = Object.defineProperty({}, 'field', {
    enumerable: true,
    get: () => {
      throw new Error('no')
    },
  })
  logger.info({ cycle, hostile, err: error, many: Array.from({ length: 100_000 }, (_, i) => ({ i })) })
  expect(lines).toHaveLength(1)
  expect(lines[0]?.length).toBeLessThan(20_000)
})

test('a pretty line is for people: level, message and fields, not JSON', () => {
  const { logger, output } = capture({ pretty: true })
  logger.info({ jobId: 'j1' }, 'settled')
  expect(output()).toMatch(/INFO \(test\): settled \{"jobId":"j1"\}/)
  expect(() => JSON.parse(output())).toThrow()
})

test('a level below the one set is not printed', () => {
  const { logger, lines } = capture({ level: 'warn' })
  logger.info('quiet')
  logger.warn('loud')
  expect(lines).toHaveLength(1)
})
