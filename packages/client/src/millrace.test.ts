import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { JobFailedError, MillraceApiError, MillraceConnectionError, MillraceTimeoutError } from './errors.js'
import { Millrace, type MillraceOptions } from './millrace.js'
import {
  cut,
  job,
  jobId,
  json,
  problem,
  QuickClock,
  type Reply,
  type StandIn,
  silence,
  standIn,
} from './stand-in/server.js'

let server: StandIn
let clock: QuickClock
let client: Millrace
const body = { model: 'm', input: 'a text' }

beforeEach(async () => {
  server = await standIn()
  clock = new QuickClock()
  client = make()
})
afterEach(() => server.close())

function make(options: Partial<MillraceOptions> = {}): Millrace {
  return new Millrace({ baseUrl: server.url, clock, ...options })
}

const keys = () => server.asked.map(({ headers }) => headers['idempotency-key'])

async function caught(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not throw'),
    (error: unknown) => error,
  )
}

/** Answers nothing, and aborts what asked. */
function abortsWhenAsked(controller: AbortController): Reply {
  return () => controller.abort(new Error('the user left'))
}

describe('a submit', () => {
  test('sends the key, the wait and the body, and answers the job', async () => {
    server.answer(json(202, job('queued')))
    const answer = await make({ apiKey: 'mr_secret' }).submit(body, { waitS: 20, idempotencyKey: 'mine' })
    expect(answer).toEqual(job('queued'))
    expect(server.asked[0]).toMatchObject({ method: 'POST', url: '/v1/jobs', body })
    expect(server.asked[0]?.headers).toMatchObject({
      authorization: 'Bearer mr_secret',
      prefer: 'wait=20',
      'idempotency-key': 'mine',
      'content-type': 'application/json',
    })
  })

  test('whose answer is lost is sent again with the same idempotency key', async () => {
    server.answer(cut, cut, json(200, job('succeeded')))
    await client.submit(body)
    expect(keys()).toHaveLength(3)
    expect(new Set(keys()).size).toBe(1)
    expect(keys()[0]).toMatch(/^[0-9a-f]{32}$/)
  })

  test('has a key of its own each time', async () => {
    server.answer(json(202, job('queued')))
    await client.submit(body)
    await client.submit(body)
    expect(new Set(keys()).size).toBe(2)
  })

  test('without an idempotency key is sent once, whatever happens', async () => {
    server.answer(cut)
    expect(await caught(client.submit(body, { idempotencyKey: null }))).toBeInstanceOf(
      MillraceConnectionError,
    )
    server.answer(problem('queue_full', { 'retry-after': '1' }))
    expect(await caught(client.submit(body, { idempotencyKey: null }))).toMatchObject({ code: 'queue_full' })
    expect(keys()).toEqual([undefined, undefined])
  })

  test('under an id of its own is a PUT, and safe to send again', async () => {
    server.answer(cut, json(202, job('queued')))
    await client.submit(body, { id: jobId })
    expect(server.asked.map(({ method, url }) => [method, url])).toEqual(
      Array(2).fill(['PUT', `/v1/jobs/${jobId}`]),
    )
    expect(keys()).toEqual([undefined, undefined])
  })

  test.each([0, 61, 1.5])('refuses to ask the server to wait %s seconds', async (waitS) => {
    await expect(client.submit(body, { waitS })).rejects.toThrow(RangeError)
  })

  test.each(['', 'x'.repeat(256), 'a\nb', 'a b'])(
    'refuses the idempotency key %j',
    async (idempotencyKey) => {
      await expect(client.submit(body, { idempotencyKey })).rejects.toThrow(RangeError)
      expect(server.asked).toEqual([])
    },
  )
})

describe('a refused request', () => {
  test('says code, status, request id, fields at fault, and whether it may pass', async () => {
    server.answer(
      problem('empty_input', {}, [{ path: 'inputs[1]', code: 'empty_input', detail: 'is empty' }]),
    )
    const error = await caught(client.submit(body))
    expect(error).toBeInstanceOf(MillraceApiError)
    expect(error).toMatchObject({
      code: 'empty_input',
      status: 422,
      message: 'what empty_input is about',
      requestId: 'request-1',
      retryable: false,
      errors: [{ path: 'inputs[1]', code: 'empty_input', detail: 'is empty' }],
    })
    expect(server.asked).toHaveLength(1)
  })

  test('with a code that this client does not know yet keeps it', async () => {
    const body = { code: 'brand_new', detail: 'see the docs', retryable: false }
    server.answer(json(418, body, { 'x-request-id': 'r-9' }))
    expect(await caught(client.get(jobId))).toMatchObject({
      code: 'brand_new',
      status: 418,
      requestId: 'r-9',
    })
  })

  test.each([
    [502, true],
    [404, false],
  ])('by a proxy, with %i and no problem details, is retried: %s', async (status, retried) => {
    server.answer(
      (response) => void response.writeHead(status).end('<h1>Sorry</h1>'),
      json(200, job('queued')),
    )
    const outcome = client.get(jobId)
    if (retried) expect(await outcome).toMatchObject({ id: jobId })
    else expect(await caught(outcome)).toMatchObject({ code: 'unexpected_answer', status })
  })
})

describe('retries', () => {
  test('wait as long as Retry-After says, and a little more, and say so', async () => {
    server.answer(problem('queue_full', { 'retry-after': '7' }), json(202, job('queued')))
    const told: unknown[] = []
    await make({ onRetry: (fault, pauseMs) => told.push([fault.message, pauseMs]) }).submit(body)
    expect(clock.slept).toEqual([7350])
    expect(told).toEqual([['what queue_full is about', 7350]])
  })

  test('understand Retry-After as a date', async () => {
    const date = new Date(Date.now() + 20_000).toUTCString()
    server.answer(problem('queue_unavailable', { 'retry-after': date }), json(202, job('queued')))
    await client.submit(body)
    expect(clock.slept[0]).toBeGreaterThan(17_000)
    expect(clock.slept[0]).toBeLessThan(21_000)
  })

  test('grow longer up to a limit, and end after retryForMs', async () => {
    server.answer(cut)
    await caught(make({ retryForMs: 30_000 }).get(jobId))
    expect(clock.slept).toEqual([187.5, 375, 750, 1500, 3000, 6000, 6000, 6000, 6000])
    expect(server.asked).toHaveLength(clock.slept.length + 1)
  })

  test('do not wait for a Retry-After that is longer than retryForMs', async () => {
    server.answer(problem('rate_limited', { 'retry-after': '3600' }))
    expect(await caught(client.get(jobId))).toMatchObject({ code: 'rate_limited', retryAfterS: 3600 })
    expect(server.asked).toHaveLength(1)
  })

  test('are made of a cancel, which is safe to repeat, and of no retry, which is not', async () => {
    server.answer(cut, json(200, job('canceled')))
    expect(await client.cancel(jobId)).toMatchObject({ status: 'canceled' })
    server.answer(cut, json(202, job('queued')))
    expect(await caught(client.retry(jobId))).toBeInstanceOf(MillraceConnectionError)
    expect(server.asked.map(({ url }) => url.split('/').at(-1))).toEqual(['cancel', 'cancel', 'retry'])
  })

  test('say why there was no connection', async () => {
    await server.close()
    await expect(make({ retryForMs: 0 }).get(jobId)).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('an abort', () => {
  test('rejects with its own reason, in mid-request', async () => {
    const controller = new AbortController()
    server.answer(abortsWhenAsked(controller))
    await expect(client.get(jobId, controller)).rejects.toThrow('the user left')
    await expect(client.run(body, controller)).rejects.toThrow('the user left')
  })

  test('ends a pause between two tries', async () => {
    const controller = new AbortController()
    const pausing: MillraceOptions['clock'] = {
      now: () => 0,
      random: () => 0,
      sleep: (_ms, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          controller.abort(new Error('the user left'))
        }),
    }
    server.answer(cut)
    await expect(make({ clock: pausing }).get(jobId, controller)).rejects.toThrow('the user left')
  })
})

describe('waiting for a job', () => {
  test('polls until it is settled, however it ended', async () => {
    server.answer(json(200, job('queued')), json(200, job('processing')), json(200, job('canceled')))
    expect(await client.wait(jobId)).toMatchObject({ status: 'canceled' })
    expect(server.asked.map(({ url }) => url)).toEqual(Array(3).fill(`/v1/jobs/${jobId}?wait=30`))
  })

  test('goes on through a gateway that is away for a while', async () => {
    server.answer(json(200, job('queued')), cut, problem('shutting_down'), json(200, job('succeeded')))
    expect(await client.wait(jobId)).toMatchObject({ status: 'succeeded' })
  })

  test('paces itself where the server does not hold the answer back', async () => {
    server.answer(json(200, job('queued')), json(200, job('queued')), json(200, job('succeeded')))
    await client.wait(jobId)
    expect(clock.slept).toEqual([500, 500])
  })

  test('ends at its limit, with the id of the job', async () => {
    server.answer(silence)
    const error = await caught(client.wait(jobId, { timeoutMs: 30 }))
    expect(error).toBeInstanceOf(MillraceTimeoutError)
    expect(error).toMatchObject({ jobId })
  })

  test('does not go on for a job that is not there', async () => {
    server.answer(problem('job_not_found'))
    expect(await caught(client.wait(jobId))).toMatchObject({ code: 'job_not_found' })
  })
})

describe('a run', () => {
  test('answers the settled job with its output', async () => {
    server.answer(json(202, job('queued')), json(200, job('processing')), json(200, job('succeeded')))
    expect((await client.run(body)).output).toEqual([0.5])
    expect(server.asked[0]?.headers).toMatchObject({ prefer: 'wait=30' })
  })

  test.each(['failed', 'canceled', 'expired'] as const)('of a job that ends as %s throws', async (status) => {
    const error = { code: 'inference_failed', detail: 'no luck' } as const
    server.answer(json(200, job(status, { error })))
    const thrown = await caught(client.run(body))
    expect(thrown).toBeInstanceOf(JobFailedError)
    expect(thrown).toMatchObject({ job: { id: jobId, status }, message: expect.stringContaining('no luck') })
  })

  test('that passes its limit says which job goes on', async () => {
    server.answer(json(202, job('queued')), silence)
    expect(await caught(client.run(body, { timeoutMs: 60 }))).toMatchObject({
      name: 'MillraceTimeoutError',
      jobId,
    })
  })

  test('whose limit passes before the job is accepted says so', async () => {
    server.answer(silence)
    expect(await caught(client.run(body, { timeoutMs: 30 }))).toMatchObject({ jobId: null })
  })
})

describe('a faulty answer is not handed over', () => {
  test.each([
    ['no JSON', (response) => void response.writeHead(200).end('<h1>Welcome</h1>')],
    ['something else', json(200, { hello: 'world' })],
    ['another job', json(200, job('queued', { id: 'another' }))],
    ['a success without an output', json(200, job('succeeded', { output: null }))],
    ['an unknown status', json(200, { ...job('queued'), status: 'resting' })],
  ] as [string, Reply][])('%s', async (_what, reply) => {
    server.answer(reply)
    expect(await caught(client.get(jobId))).toMatchObject({ code: 'unexpected_answer', status: 200 })
    expect(server.asked).toHaveLength(1)
  })

  test('half of one is asked for again', async () => {
    const half: Reply = (response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"id":', () => response.destroy())
    }
    server.answer(half, json(200, job('queued')))
    expect(await client.get(jobId)).toMatchObject({ id: jobId })
  })
})

describe('a list', () => {
  const page = (ids: string[], next: string | null) =>
    json(200, { object: 'list', data: ids.map((id) => job('failed', { id })), next_cursor: next })

  test('goes from page to page as it is read', async () => {
    server.answer(page(['a', 'b'], 'c1'), page([], 'c2'), page(['c'], null))
    const ids: string[] = []
    for await (const { id } of client.list({ status: 'failed', pageSize: 2 })) ids.push(id)
    expect(ids).toEqual(['a', 'b', 'c'])
    expect(server.asked.map(({ url }) => url)).toEqual([
      '/v1/jobs?status=failed&limit=2',
      '/v1/jobs?status=failed&limit=2&cursor=c1',
      '/v1/jobs?status=failed&limit=2&cursor=c2',
    ])
  })

  test('that is left early asks for no further page', async () => {
    server.answer(page(['a', 'b'], 'c1'))
    for await (const { id } of client.list()) if (id === 'a') break
    expect(server.asked).toHaveLength(1)
  })

  test('that leads back to itself is a fault, not a loop', async () => {
    server.answer(page(['a'], 'c1'))
    const read = async () => {
      for await (const _ of client.list()) server.asked.length
    }
    expect(await caught(read())).toMatchObject({ code: 'unexpected_answer' })
  })
})

test('models come as the server says them, unknown fields included', async () => {
  const model = { id: 'm', object: 'model', workers: 2, queue: { waiting: 3 } }
  server.answer(json(200, { object: 'list', data: [model] }))
  expect(await client.models()).toEqual([model])
})

test('a webhook is asked for again at its job', async () => {
  server.answer(json(202, job('succeeded')))
  await client.redeliverWebhook(jobId)
  expect(server.asked[0]).toMatchObject({ method: 'POST', url: `/v1/jobs/${jobId}/webhook/redeliver` })
})

test('an address may have a path in front, with or without a slash at its end', async () => {
  server.answer(json(200, job('queued')))
  await make({ baseUrl: `${server.url}/behind/a/proxy/` }).get(jobId)
  expect(server.asked[0]?.url).toBe(`/behind/a/proxy/v1/jobs/${jobId}`)
})

test('a key that no header can carry is refused without quoting it', () => {
  expect(() => make({ apiKey: 'mr_secret\n' })).toThrow(TypeError)
  expect(() => make({ apiKey: 'mr_secret\n' })).not.toThrow(/mr_secret/)
})

test('an id cannot lead to another path', async () => {
  server.answer(problem('job_not_found'))
  await caught(client.get('../models?x='))
  expect(server.asked[0]?.url).toBe('/v1/jobs/..%2Fmodels%3Fx%3D')
})
