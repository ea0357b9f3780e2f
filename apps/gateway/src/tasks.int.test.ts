/** Classification and reranking at the gateway's edge, with workers that have no model. What models say: e2e/tasks.test.ts. */
import { jobSchema, rerankListSchema } from '@millrace/contracts'
import { writePair } from '@millrace/tokenizer'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FakeModel, FakeWorker, fakeClassifier, fakeReranker, rememberResults } from './fake-worker.js'
import { bodyOf, everyTask, GatewayUnderTest } from './gateway-under-test.js'

const wait = { prefer: 'wait=10' }
const failing = 'told to fail'

let site: GatewayUnderTest
let classifier: FakeWorker
let reranker: FakeWorker

beforeAll(async () => {
  site = await GatewayUnderTest.start(everyTask)
  classifier = await FakeWorker.start(site.queue.url, fakeClassifier)
  reranker = await FakeWorker.start(site.queue.url, fakeReranker)
})
beforeEach(() => {
  for (const worker of [classifier, reranker]) {
    worker.reset()
    worker.fails = (input) => input.includes(failing)
  }
})
afterAll(async () => {
  await Promise.all([classifier?.stop(), reranker?.stop()])
  await site?.stop()
})

const ask = { model: fakeReranker.alias, query: 'q' }

describe('one input that fails', () => {
  test('fails a classification, by its path under the name that was given', async () => {
    for (const field of ['input', 'inputs']) {
      const body = { model: fakeClassifier.alias, [field]: ['fine', failing] }
      const response = await site.send('/v1/classify', body)
      expect(response.status).toBe(500)
      expect(await bodyOf(response)).toMatchObject({
        code: 'inference_failed',
        errors: [{ path: `${field}[1]`, code: 'inference_failed' }],
      })
    }
  })

  test('fails a ranking, by its document', async () => {
    const response = await site.send('/v1/rerank', { ...ask, documents: ['fine', { text: failing }] })
    expect(await bodyOf(response)).toMatchObject({ errors: [{ path: 'documents[1]' }] })
  })

  test('has its error in its place of a job', async () => {
    const inputs = ['fine', failing].map((text) => ({ query: 'q', text }))
    const response = await site.post({ model: fakeReranker.alias, inputs }, wait)
    const { status, output } = jobSchema.parse(await bodyOf(response))
    expect(status).toBe('succeeded')
    expect(output).toEqual([
      { score: expect.any(Number) },
      { error: expect.objectContaining({ code: 'inference_failed' }) },
    ])
  })
})

describe('what was computed', () => {
  const computedBefore = (served: FakeModel, inputs: string[]) =>
    rememberResults(site.cacheServer.url, inputs, 'tenant:default', served)

  test('is kept by pair: a query over a list that has grown computes what is new', async () => {
    const pairs = ['one', 'three'].map((second) => writePair({ first: 'q', second }))
    await computedBefore(fakeReranker, pairs)
    const response = await site.send('/v1/rerank', { ...ask, documents: ['one', 'three', 'seventeen'] })
    const { results } = rerankListSchema.parse(await bodyOf(response))
    expect(results.map(({ index }) => index)).toEqual([2, 1, 0])
    expect(response.headers.get('x-cache')).toBe('partial')
    expect(reranker.computed).toEqual([writePair({ first: 'q', second: 'seventeen' })])
  })

  test('and forgotten is computed again, and written out as the job had asked', async () => {
    const input = 'a hot text'
    const best = [{ label: 'question', score: 0.9 }]
    await computedBefore(fakeClassifier, [input])
    const response = await site.post({ model: fakeClassifier.alias, input, options: { top_k: 1 } })
    const known = jobSchema.parse(await bodyOf(response))
    expect(known).toMatchObject({ status: 'succeeded', output: best, metrics: { cache: { hits: 1 } } })
    const cache = site.cacheServer.client()
    await cache.flushall()
    cache.disconnect()
    // Another gateway: the first one still holds the result in process.
    const other = await site.another()
    const read = await site.call(`/v1/jobs/${known.id}`, {}, other)
    expect(jobSchema.parse(await bodyOf(read)).output).toEqual(best)
    expect(classifier.computed).toEqual([input])
  })
})
