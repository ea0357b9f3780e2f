/** Classification and reranking on a fleet of real processes, against what the Python reference wrote beside the models. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Candidate,
  candidateSchema,
  classificationListSchema,
  errorCodes,
  type LabelScore,
  rerankListSchema,
} from '@millrace/contracts'
import { eventually, type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Answer, call, model as embedder, finished, jobOf, post, problemOf, root } from './api.js'

const classifier = 'tiny-classifier'
const reranker = 'tiny-reranker'
const filler = 'tiny-filler'
const tolerated = 1e-4

interface ClassifierReference {
  labels: string[]
  items: { text: string; truncate: boolean; probabilities: number[]; input_ids: number[] }[]
}
interface RerankerReference {
  items: {
    query: string
    text: string
    truncate: boolean
    logit: number
    score: number
    input_ids: number[]
  }[]
}
const referenceOf = (name: string) =>
  JSON.parse(readFileSync(join(root, 'models/fixtures', name, 'reference.json'), 'utf8'))
const classified: ClassifierReference = referenceOf(classifier)
const ranked: RerankerReference = referenceOf(reranker)

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet({
    root,
    workers: 2,
    env: {
      MILLRACE_CONFIG: join(root, 'models/fixtures/millrace.json'),
      MILLRACE_MODELS: `${classifier},${reranker},${filler}`,
      MAX_ITEMS: '64',
      MAX_INPUT_CHARS: '5000',
    },
  })
})
afterAll(() => fleet.stop())

function send(path: string, body: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return call(fleet.url, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: text,
  })
}

async function classify(body: object) {
  const answer = await send('/v1/classify', { model: classifier, ...body })
  expect(answer.body).toMatchObject({ object: 'list' })
  return { ...answer, list: classificationListSchema.strict().parse(answer.body) }
}

async function rerank(body: object) {
  const answer = await send('/v1/rerank', { model: reranker, ...body })
  expect(answer.body).toMatchObject({ results: expect.anything() })
  return { ...answer, list: rerankListSchema.strict().parse(answer.body) }
}

const close = (found: readonly number[], wanted: readonly number[]) => {
  expect(found).toHaveLength(wanted.length)
  for (const [at, value] of wanted.entries()) {
    expect(Math.abs((found[at] ?? Number.NaN) - value)).toBeLessThan(tolerated)
  }
}

/** Scores by label, in the model's own order. */
const inModelOrder = (labels: readonly LabelScore[]) =>
  classified.labels.map((name) => labels.find(({ label }) => label === name)?.score ?? Number.NaN)

const short = classified.items.filter(({ truncate }) => !truncate)
const texts = classified.items.map(({ text }) => text)

describe('POST /v1/classify', () => {
  it('gives the reference’s probabilities for every text, and the same again from the cache', async () => {
    const { list, headers } = await classify({ input: texts, truncate: true })
    expect(headers.get('x-cache')).toBe('miss')
    for (const [at, { probabilities }] of classified.items.entries()) {
      const one = list.data[at]
      close(one?.probs ?? [], probabilities)
      close(inModelOrder(one?.labels ?? []), probabilities)
      const best = classified.labels[probabilities.indexOf(Math.max(...probabilities))]
      expect(one).toMatchObject({ index: at, label: best, num_classes: 3 })
    }
    const tokens = classified.items.reduce((sum, { input_ids }) => sum + input_ids.length, 0)
    expect(list.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
    const again = await classify({ input: texts, truncate: true })
    expect(again.headers.get('x-cache')).toBe('hit')
    expect(again.list).toEqual(list)
  })

  it('takes one text, under either name, and cuts the labels without computing anew', async () => {
    const [{ text, probabilities } = { text: '', probabilities: [] }] = short
    const whole = await classify({ inputs: text })
    close(whole.list.data[0]?.probs ?? [], probabilities)
    const best = await classify({ input: [text], top_k: 1 })
    expect(best.headers.get('x-cache')).toBe('hit')
    expect(best.list.data[0]?.labels).toEqual(whole.list.data[0]?.labels.slice(0, 1))
  })

  it('computes a text given twice once, and answers it twice', async () => {
    const { list } = await classify({ input: ['mill mill', 'wheel', 'mill mill'] })
    expect(list.data[2]).toEqual({ ...list.data[0], index: 2 })
    expect(list.data[1]?.probs).not.toEqual(list.data[0]?.probs)
  })
})

describe('POST /v1/rerank', () => {
  const [first] = ranked.items
  const query = first?.query ?? ''
  const sameQuery = ranked.items.filter((item) => item.query === query)
  const documents = sameQuery.map(({ text }) => text)
  const logitOf = (at: number) => sameQuery[at]?.logit ?? Number.NaN

  it('gives the reference’s scores, best first, and the same again from the cache', async () => {
    const { list, headers } = await rerank({ query, documents, truncate: true })
    expect(headers.get('x-cache')).toBe('miss')
    for (const { index, relevance_score } of list.results) {
      close([relevance_score], [sameQuery[index]?.score ?? Number.NaN])
    }
    const wanted = sameQuery.map((_, at) => at).sort((a, b) => logitOf(b) - logitOf(a))
    expect(list.results.map(({ index }) => index)).toEqual(wanted)
    const tokens = sameQuery.reduce((sum, { input_ids }) => sum + input_ids.length, 0)
    expect(list.usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
    const again = await rerank({ query, documents: documents.map((text) => ({ text })), truncate: true })
    expect(again.headers.get('x-cache')).toBe('hit')
    expect(again.list).toEqual(list)
  })

  it('raw scores, cut lists and documents in the answer are made from the same results', async () => {
    const { list, headers } = await rerank({
      query,
      documents,
      truncate: true,
      raw_scores: true,
      top_n: 2,
      return_documents: true,
    })
    expect(headers.get('x-cache')).toBe('hit')
    expect(list.results).toHaveLength(2)
    for (const { index, relevance_score, document } of list.results) {
      close([relevance_score], [sameQuery[index]?.logit ?? Number.NaN])
      expect(document).toEqual({ text: documents[index] })
    }
  })

  it('a query and a document that change places are another pair', async () => {
    const [a, b] = [query, documents[0] ?? '']
    const [there] = (await rerank({ query: a, documents: [b], raw_scores: true })).list.results
    const [back] = (await rerank({ query: b, documents: [a], raw_scores: true })).list.results
    expect(Math.abs((there?.relevance_score ?? 0) - (back?.relevance_score ?? 0))).toBeGreaterThan(0.1)
  })
})

describe('the same tasks as jobs', () => {
  const wait = { prefer: 'wait=30' }

  it('a classifier’s job holds labels by item, and shares its results with /v1/classify', async () => {
    const inputs = ['a text of a job', ...short.slice(0, 2).map(({ text }) => text)]
    const body = { model: classifier, inputs }
    const done = jobOf(await post(fleet.url, body, wait))
    const outputs = done.output as LabelScore[][]
    for (const [at, { probabilities }] of short.slice(0, 2).entries()) {
      close(inModelOrder(outputs[at + 1] ?? []), probabilities)
    }
    const { list, headers } = await classify({ input: inputs })
    expect(headers.get('x-cache')).toBe('hit')
    expect(list.data.map(({ labels }) => labels)).toEqual(outputs)
    const best = jobOf(await post(fleet.url, { ...body, options: { top_k: 1 } }, wait))
    expect(best.metrics.cache).toMatchObject({ hits: 3, misses: 0 })
    expect(best.output).toEqual(outputs.map((labels) => labels.slice(0, 1)))
  })

  it('a job that asked for the best label alone is read so later, too', async () => {
    const body = { model: classifier, input: 'a fresh text of one job', options: { top_k: 1 } }
    const accepted = jobOf(await post(fleet.url, body))
    const { output } = await finished(fleet.url, accepted.id)
    expect(output).toMatchObject([{ label: expect.any(String), score: expect.any(Number) }])
    const known = jobOf(await post(fleet.url, body))
    expect(known.output).toEqual(output)
    expect((await finished(fleet.url, known.id)).output).toEqual(output)
  })

  it('a reranker’s job holds a score for every pair', async () => {
    const inputs = ranked.items.map(({ query, text }) => ({ query, text }))
    const options = { truncate: true }
    const done = jobOf(await post(fleet.url, { model: reranker, inputs, options }, wait))
    close(
      (done.output as { score: number }[]).map(({ score }) => score),
      ranked.items.map(({ score }) => score),
    )
    const raw = { model: reranker, input: inputs[0], options: { truncate: true, raw_scores: true } }
    const one = await post(fleet.url, raw, wait)
    expect(one.headers.get('x-cache')).toBe('hit')
    close([(jobOf(one).output as { score: number }).score], [ranked.items[0]?.logit ?? Number.NaN])
  })
})

describe('bad input has its own code and path', () => {
  const long = 'the river and the mill '.repeat(40)
  const ask = { model: reranker, query: 'q', documents: ['d'] }
  const text = { model: classifier, input: 'x' }
  const job = '/v1/jobs'
  it.each([
    ['an unknown model', '/v1/rerank', { ...ask, model: 'nope' }, 'model_not_found', 'model'],
    ['a model of another task', '/v1/rerank', { ...ask, model: classifier }, 'wrong_task', 'model'],
    ['a model of another task', '/v1/classify', { ...text, model: reranker }, 'wrong_task', 'model'],
    ['an embedding model', '/v1/classify', { ...text, model: embedder }, 'wrong_task', 'model'],
    ['an empty query', '/v1/rerank', { ...ask, query: '' }, 'empty_input', 'query'],
    ['half a character', '/v1/rerank', { ...ask, query: 'a\ud800' }, 'invalid_input', 'query'],
    ['no query', '/v1/rerank', { model: reranker, documents: ['d'] }, 'invalid_request', 'query'],
    ['no documents', '/v1/rerank', { ...ask, documents: [] }, 'empty_input', 'documents'],
    [
      'an empty document',
      '/v1/rerank',
      { ...ask, documents: ['d', { text: '' }] },
      'empty_input',
      'documents[1]',
    ],
    [
      'too many documents',
      '/v1/rerank',
      { ...ask, documents: Array(65).fill('d') },
      'too_many_items',
      'documents',
    ],
    [
      'a document of another kind',
      '/v1/rerank',
      { ...ask, documents: ['d', 7] },
      'invalid_request',
      'documents',
    ],
    ['a pair too long', '/v1/rerank', { ...ask, documents: ['d', long] }, 'input_too_long', 'documents[1]'],
    ['far too many characters', '/v1/rerank', { ...ask, query: 'x'.repeat(5001) }, 'input_too_long', 'query'],
    ['a pretended pair', '/v1/rerank', { ...ask, query: '\u0000pair:1:ab' }, 'invalid_input', 'query'],
    ['top_n 0', '/v1/rerank', { ...ask, top_n: 0 }, 'invalid_request', 'top_n'],
    ['an unknown field', '/v1/rerank', { ...ask, nope: 1 }, 'invalid_request', '(body)'],
    ['no text', '/v1/classify', { model: classifier }, 'invalid_request', 'input'],
    ['both names', '/v1/classify', { ...text, inputs: 'y' }, 'invalid_request', 'input'],
    ['an empty text', '/v1/classify', { ...text, input: '' }, 'empty_input', 'input'],
    ['an empty list', '/v1/classify', { model: classifier, inputs: [] }, 'empty_input', 'inputs'],
    ['a text too long', '/v1/classify', { ...text, input: ['x', long] }, 'input_too_long', 'input[1]'],
    ['token ids', '/v1/classify', { ...text, input: [1, 2] }, 'invalid_request', 'input'],
    ['top_k 0', '/v1/classify', { ...text, top_k: 0 }, 'invalid_request', 'top_k'],
    ['an unknown field', '/v1/classify', { ...text, nope: 1 }, 'invalid_request', '(body)'],
    [
      'a pair for a classifier',
      job,
      { model: classifier, input: { query: 'q', text: 't' } },
      'invalid_request',
      'input',
    ],
    ['a text for a reranker', job, { model: reranker, inputs: ['t'] }, 'invalid_request', 'inputs[0]'],
    [
      'an empty query in a job',
      job,
      { model: reranker, inputs: [{ query: '', text: 't' }] },
      'empty_input',
      'inputs[0].query',
    ],
    [
      'an option of another task',
      job,
      { ...text, options: { encoding: 'float' } },
      'invalid_request',
      'options.encoding',
    ],
    [
      'an option of another task',
      job,
      { model: embedder, input: 'x', options: { top_k: 1 } },
      'invalid_request',
      'options.top_k',
    ],
  ] as const)('%s: %s', async (_name, path, body, code, field) => {
    const answer = await send(path, body)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    const problem = problemOf(answer)
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code, path: field })
    expect(answer.status).toBe(errorCodes[code].status)
  })

  it('on OpenAI’s route a model of another task has OpenAI’s form', async () => {
    const answer = await send('/v1/embeddings', { model: classifier, input: 'x' })
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({
      error: { code: 'wrong_task', param: 'model', type: 'invalid_request_error' },
    })
  })

  it('broken JSON and another media type', async () => {
    for (const path of ['/v1/classify', '/v1/rerank']) {
      expect(problemOf(await send(path, '{"model":')).code).toBe('malformed_json')
      const plain = await call(fleet.url, path, { method: 'POST', body: '{}' })
      expect(problemOf(plain).code).toBe('unsupported_media_type')
      expect(problemOf(await call(fleet.url, path)).code).toBe('method_not_allowed')
    }
  })
})

describe('a fill-mask job', () => {
  const masked = referenceOf(filler) as {
    items: { text: string; candidates: Candidate[] }[]
  }
  const inputs = masked.items.map(({ text }) => text)
  const outputOf = async (options: object) => {
    const body = { model: filler, inputs, options: { truncate: true, ...options } }
    const job = await finished(fleet.url, jobOf(await post(fleet.url, body)).id)
    expect(job.status).toBe('succeeded')
    return z.array(z.array(candidateSchema.strict())).parse(job.output)
  }

  it('gives the reference’s candidates, five or so many as asked for, of one computation', async () => {
    const most = await outputOf({ top_k: 20 })
    for (const [at, { candidates }] of masked.items.entries()) {
      const found = most[at] ?? []
      close(
        found.map(({ score }) => score),
        candidates.map(({ score }) => score),
      )
      const words = (list: Candidate[]) => list.map(({ score: _, ...rest }) => rest)
      expect(words(found)).toEqual(words(candidates))
    }
    expect(await outputOf({})).toEqual(most.map((list) => list.slice(0, 5)))
  })

  it('is refused by its path without exactly one mask, before it is queued', async () => {
    const answer = await post(fleet.url, { model: filler, inputs: ['the [MASK].', 'the mill.'] })
    expect(problemOf(answer)).toMatchObject({ code: 'invalid_input', errors: [{ path: 'inputs[1]' }] })
  })

  it('fails in the item whose mask is cut off', async () => {
    const input = `${'mill '.repeat(80)}[MASK]`
    const sent = await post(fleet.url, { model: filler, input, options: { truncate: true } })
    const job = await finished(fleet.url, jobOf(sent).id)
    expect(job).toMatchObject({ status: 'failed', error: { code: 'invalid_input' } })
  })
})

describe('what operators see', () => {
  it('the task and the facts of each model', async () => {
    // A gateway looks at the fleet once a second, and a worker may need a second try to announce itself.
    const data = await eventually(async () => {
      const { body } = await call(fleet.url, '/v1/models')
      const { data } = body as { data: { id: string; workers: number }[] }
      return data.find(({ id }) => id === classifier)?.workers === 2 && data
    })
    const these = [classifier, reranker, filler, embedder]
    expect({ data: data.filter(({ id }) => these.includes(id)) }).toMatchObject({
      data: [
        {
          id: classifier,
          task: 'text-classification',
          workers: 2,
          facts: {
            labels: classified.labels,
            multi_label: false,
            max_tokens: 64,
            batching: { mode: 'batched' },
          },
        },
        { id: reranker, task: 'rerank', workers: 2, facts: { task: 'rerank', max_tokens: 64 } },
        { id: filler, task: 'fill-mask', workers: 2, facts: { mask_token: '[MASK]', max_tokens: 64 } },
        { id: embedder, task: 'feature-extraction', workers: 0, facts: null },
      ],
    })
  })

  it('no input in any log', () => {
    const logs = [...fleet.gateways, ...fleet.workers].map((one) => one.output()).join('')
    for (const text of [...texts, ...ranked.items.map(({ query }) => query)]) {
      if (text.length > 20) expect(logs).not.toContain(text)
    }
  })
})
