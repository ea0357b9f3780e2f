/** The journey of a job through a whole fleet of real processes: two workers, one gateway, two Redis. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  call,
  cosine,
  finished,
  freshTexts,
  jobOf,
  model,
  post,
  problemOf,
  root,
  submit,
  vectorsOf,
} from './api.js'

let fleet: Fleet

beforeAll(async () => {
  fleet = await startFleet({ root, workers: 2 })
})
afterAll(() => fleet?.stop())

const depth = async () => {
  const metrics = String((await call(fleet.url, '/metrics')).body)
  return Number(metrics.match(/millrace_queue_chunks\{[^}]*state="waiting"\} (\d+)/)?.[1])
}

describe('one job', () => {
  it('is accepted, polled, and answered with the vector of its text', async () => {
    const [text = ''] = freshTexts(1)
    const accepted = await post(fleet.url, { model, input: text })
    expect(accepted.status).toBe(202)
    const job = jobOf(accepted)
    expect(accepted.headers.get('location')).toBe(`/v1/jobs/${job.id}`)
    expect(accepted.headers.get('x-job-id')).toBe(job.id)
    expect(accepted.headers.get('x-cache')).toBe('miss')
    expect(job).toMatchObject({ status: 'queued', output: null, progress: { done: 0, total: 1 } })
    const done = await finished(fleet.url, job.id)
    expect(done).toMatchObject({
      status: 'succeeded',
      error: null,
      progress: { done: 1, total: 1 },
      attempts: 1,
    })
    expect(done.output).toHaveLength(384)
    expect(done.metrics.predict_ms).toBeGreaterThan(0)
  })

  it('is waited for in the submit itself', async () => {
    const answer = await post(fleet.url, { model, input: freshTexts(1)[0] }, { prefer: 'wait=30' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('preference-applied')).toBe('wait=30')
    expect(jobOf(answer)).toMatchObject({ status: 'succeeded' })
  })

  it('is waited for in a poll', async () => {
    const job = await submit(fleet.url, freshTexts(3))
    const answer = await call(fleet.url, `/v1/jobs/${job.id}?wait=30`)
    expect(vectorsOf(jobOf(answer))).toHaveLength(3)
  })

  it('is not computed again: the second one is a hit, equal in every number, and can be read by its own id', async () => {
    const [text = ''] = freshTexts(1)
    const first = jobOf(await post(fleet.url, { model, input: text }, { prefer: 'wait=30' }))
    const again = await post(fleet.url, { model, input: text })
    expect(again.status).toBe(200)
    expect(again.headers.get('x-cache')).toBe('hit')
    const second = jobOf(again)
    expect(second.output).toEqual(first.output)
    expect(second.metrics.cache).toEqual({ hits: 1, misses: 0, joined: 0 })
    expect(second.id).not.toBe(first.id)
    const read = await finished(fleet.url, second.id)
    expect(read.output).toEqual(first.output)
  })

  it('gives the same numbers as base64 of little-endian float32', async () => {
    const [text = ''] = freshTexts(1)
    const floats = jobOf(await post(fleet.url, { model, input: text }, { prefer: 'wait=30' })).output
    const body = { model, input: text, options: { encoding: 'base64' } }
    const encoded = jobOf(await post(fleet.url, body)).output
    const bytes = Buffer.from(String(encoded), 'base64')
    const decoded = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4))
    expect(new Float32Array(decoded)).toEqual(new Float32Array(floats as number[]))
  })

  it('carries the request id of its client', async () => {
    const answer = await post(fleet.url, { model, input: freshTexts(1)[0] }, { 'x-request-id': 'e2e-42' })
    expect(answer.headers.get('x-request-id')).toBe('e2e-42')
  })
})

describe('answers equal the reference library', () => {
  it('on every text of the parity file', async () => {
    const parity = JSON.parse(readFileSync(join(root, 'models', model, 'parity.json'), 'utf8')) as {
      items: { text: string; embedding: number[] }[]
    }
    const body = { model, inputs: parity.items.map(({ text }) => text), options: { truncate: true } }
    const vectors = vectorsOf(jobOf(await post(fleet.url, body, { prefer: 'wait=60' })))
    const cosines = vectors.map((vector, i) => cosine(vector, parity.items[i]?.embedding ?? []))
    expect(cosines).toHaveLength(24)
    expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.995)
    expect(cosines.reduce((sum, one) => sum + one, 0) / cosines.length).toBeGreaterThanOrEqual(0.998)
  })
})

describe('arrays', () => {
  it('of many chunks keep order and count', async () => {
    const texts = freshTexts(100)
    const job = jobOf(await post(fleet.url, { model, inputs: texts }, { prefer: 'wait=60' }))
    const vectors = vectorsOf(job)
    expect(vectors).toHaveLength(100)
    const one = jobOf(await post(fleet.url, { model, input: texts[77] }))
    expect(one.output).toEqual(vectors[77])
  })

  it('tell hits, duplicates and misses apart and compute each text once', async () => {
    const [known = '', fresh = ''] = freshTexts(2)
    await post(fleet.url, { model, input: known }, { prefer: 'wait=30' })
    const inputs = [fresh, known, fresh, known, fresh]
    const answer = await post(fleet.url, { model, inputs }, { prefer: 'wait=30' })
    expect(answer.headers.get('x-cache')).toBe('partial')
    const job = jobOf(answer)
    const [a, b, c, d, e] = vectorsOf(job)
    expect([c, e]).toEqual([a, a])
    expect(d).toEqual(b)
    expect(a).not.toEqual(b)
    expect(job.metrics.cache).toEqual({ hits: 1, misses: 1, joined: 0 })
  })

  it('put an item’s failure in its place, and succeed with the rest', async () => {
    // Few characters that are many tokens: only the worker can tell that this is too long.
    const sneaky = '각'.repeat(200)
    const [good = ''] = freshTexts(1)
    const answer = await post(fleet.url, { model, inputs: [good, sneaky, good] }, { prefer: 'wait=30' })
    if (answer.status === 422) {
      expect(problemOf(answer).errors[0]).toMatchObject({ path: 'inputs[1]', code: 'input_too_long' })
      return
    }
    const job = jobOf(answer)
    expect(job.status).toBe('succeeded')
    const output = job.output as unknown[]
    expect(output).toHaveLength(3)
    expect(output[0]).toEqual(output[2])
  })
})

describe('bad input has its own code and path, and enqueues nothing', () => {
  const long = 'word '.repeat(300)
  it.each([
    ['unknown model', { model: 'nope', input: 'x' }, 404, 'model_not_found', 'model'],
    ['empty text', { model, input: '' }, 422, 'empty_input', 'input'],
    ['empty array', { model, inputs: [] }, 422, 'empty_input', 'inputs'],
    ['one empty text of many', { model, inputs: ['a', ''] }, 422, 'empty_input', 'inputs[1]'],
    ['too many items', { model, inputs: Array(2049).fill('x') }, 422, 'too_many_items', 'inputs'],
    ['too long', { model, inputs: ['a', long] }, 422, 'input_too_long', 'inputs[1]'],
    ['wrong type', { model, inputs: ['a', 7] }, 400, 'invalid_request', 'inputs[1]'],
    [
      'wrong option',
      { model, input: 'a', options: { encoding: 'hex' } },
      400,
      'invalid_request',
      'options.encoding',
    ],
    ['unknown option', { model, input: 'a', options: { nope: 1 } }, 400, 'invalid_request', 'options'],
    ['both input and inputs', { model, input: 'a', inputs: ['b'] }, 400, 'invalid_request', 'input'],
    ['half a character', { model, input: 'a\ud800' }, 422, 'invalid_input', 'input'],
  ])('%s', async (_name, body, status, code, path) => {
    const before = await depth()
    const answer = await post(fleet.url, body)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    const problem = problemOf(answer)
    expect(problem.code).toBe(code)
    expect(problem.errors[0]?.path).toBe(path)
    expect(await depth()).toBe(before)
  })

  it('broken JSON, another media type, too large a body, unknown job, unknown route', async () => {
    const plain = { 'content-type': 'text/plain' }
    const checks = [
      [await post(fleet.url, '{"model":'), 400, 'malformed_json'],
      [await post(fleet.url, '{}', plain), 415, 'unsupported_media_type'],
      [await post(fleet.url, { model, input: 'x'.repeat(5 << 20) }), 413, 'body_too_large'],
      [await call(fleet.url, '/v1/jobs/0190b0e0-0000-7000-8000-000000000000'), 404, 'job_not_found'],
      [await call(fleet.url, '/v1/jobs/nonsense'), 404, 'job_not_found'],
      [await call(fleet.url, '/nope'), 404, 'not_found'],
      [await call(fleet.url, '/v1/jobs', { method: 'DELETE' }), 405, 'method_not_allowed'],
    ] as const
    for (const [answer, status, code] of checks) {
      expect({ status: answer.status, code: problemOf(answer).code }).toEqual({ status, code })
    }
  })

  it('and what is too long is taken where truncation is asked for', async () => {
    const body = { model, input: long, options: { truncate: true } }
    expect(jobOf(await post(fleet.url, body, { prefer: 'wait=30' })).output).toHaveLength(384)
  })
})

describe('what operators see', () => {
  it('models with what their workers found', async () => {
    const { body } = await call(fleet.url, '/v1/models')
    expect(body).toMatchObject({
      object: 'list',
      data: [
        { id: model, workers: 2, facts: { dimensions: 384, max_tokens: 256, batching: { mode: 'batched' } } },
      ],
    })
  })

  it('readiness, metrics and an API description', async () => {
    expect((await call(fleet.url, '/livez')).status).toBe(200)
    expect((await call(fleet.url, '/readyz')).status).toBe(200)
    expect((await call(fleet.workers[0]?.url ?? '', '/readyz')).status).toBe(200)
    expect((await call(fleet.url, '/metrics')).body).toContain('millrace_cache_results_total')
    const { body } = await call(fleet.url, '/openapi.json')
    expect(body).toMatchObject({ openapi: '3.1.0', paths: { '/v1/jobs': { post: expect.anything() } } })
  })

  it('the dashboard, without inputs', async () => {
    expect((await call(fleet.url, '/admin/queues')).status).toBe(200)
    const { body } = await call(fleet.url, '/admin/queues/api/queues?status=completed')
    expect(JSON.stringify(body)).toContain('chunk')
    expect(JSON.stringify(body)).not.toContain('rivers and the mills')
  })

  it('no input and no vector in any log', () => {
    const logs = [...fleet.gateways, ...fleet.workers].map((one) => one.output()).join('')
    expect(logs).not.toContain('rivers and the mills')
  })
})
