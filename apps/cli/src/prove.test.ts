import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { cosine, prove } from './prove.js'

const never = new AbortController().signal
let server: Server | undefined
afterEach(() => {
  server?.close()
  server?.closeAllConnections()
})

/** A gateway of a few lines: answers each request with the next of `answers`, the last one again and again. */
async function gateway(...answers: ((response: ServerResponse) => void)[]): Promise<string> {
  let next = 0
  server = createServer((request, response) => {
    request.resume().on('end', () => {
      answers[Math.min(next, answers.length - 1)]?.(response)
      next += 1
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const at = '2026-01-01T00:00:00.000Z'
function job(status: string, output: unknown, cache = 'miss', httpStatus = 200) {
  const body = {
    id: 'a',
    object: 'job',
    status,
    model: 'm',
    created_at: at,
    started_at: null,
    completed_at: null,
    expires_at: at,
    output,
    error: null,
    progress: { done: 0, total: 3 },
    queue: null,
    metrics: {
      queue_ms: null,
      tokenize_ms: null,
      predict_ms: null,
      batch_size: null,
      cache: { hits: 0, misses: 0, joined: 0 },
    },
    attempts: 1,
    priority: 0,
    metadata: {},
    webhook: null,
    urls: { get: '/v1/jobs/a', events: '/v1/jobs/a/events', cancel: '/v1/jobs/a/cancel' },
  }
  return (response: ServerResponse) =>
    response.writeHead(httpStatus, { 'x-cache': cache }).end(JSON.stringify(body))
}

const vectors = [
  [1, 0],
  [0.6, 0.8],
  [0, 1],
]

describe('the proof', () => {
  test('gives the pairwise similarities and says that the second answer was a hit', async () => {
    const url = await gateway(job('succeeded', vectors), job('succeeded', vectors, 'hit'))
    const proof = await prove({ url, key: '' }, 'm', 5000, () => 0, never)
    expect(proof.similarities[0]?.map((value) => value.toFixed(3))).toEqual(['1.000', '0.600', '0.000'])
    expect([proof.first.cache, proof.second.cache]).toEqual(['miss', 'hit'])
  })

  test('polls a job that is still queued', async () => {
    const url = await gateway(job('queued', null, 'miss', 202), job('succeeded', vectors))
    const proof = await prove({ url, key: '' }, 'm', 5000, () => 0, never)
    expect(proof.first.vectors).toEqual(vectors)
  })

  test.each([
    ['the job failed', job('failed', null), "the job ended as 'failed'"],
    ['an embedding is missing', job('succeeded', vectors.slice(1)), 'gave 2 embeddings'],
    [
      'an item failed',
      job('succeeded', [...vectors.slice(1), { error: { code: 'internal', detail: 'x' } }]),
      'an item has no embedding',
    ],
    ['an embedding is all zero', job('succeeded', [[0, 0], ...vectors.slice(1)]), 'not made of numbers'],
  ])('fails when %s', async (_name, answer, words) => {
    const url = await gateway(answer)
    await expect(prove({ url, key: '' }, 'm', 5000, () => 0, never)).rejects.toThrow(words)
  })

  test('fails when the same request is answered differently', async () => {
    const url = await gateway(job('succeeded', vectors), job('succeeded', vectors.toReversed(), 'hit'))
    await expect(prove({ url, key: '' }, 'm', 5000, () => 0, never)).rejects.toThrow('differs from the first')
  })

  test('names the problem that the gateway answers with', async () => {
    const problem = {
      type: 'urn:millrace:error:queue_full',
      title: 't',
      status: 429,
      detail: 'try later',
      code: 'queue_full',
      request_id: 'r',
      retryable: true,
      errors: [],
    }
    const url = await gateway((response) => response.writeHead(429).end(JSON.stringify(problem)))
    await expect(prove({ url, key: '' }, 'm', 5000, () => 0, never)).rejects.toThrow('queue_full: try later')
  })

  test('is bounded: a gateway that never answers is a fault', async () => {
    const url = await gateway(() => {})
    await expect(prove({ url, key: '' }, 'm', 50, () => 0, never)).rejects.toThrow('no answer within 0.05 s')
  })
})

test('the cosine of vectors that cannot be compared is not a number', () => {
  expect(cosine([1, 0], [1])).toBeNaN()
  expect(cosine([0, 0], [1, 0])).toBeNaN()
})
