/** Entities, answers and labels of one's own on a fleet of real processes, against what transformers' pipelines give. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCodes } from '@millrace/contracts'
import { eventually, type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, jobOf, post, problemOf, root } from './api.js'

const tagger = 'tiny-tagger'
const reader = 'tiny-reader'
const entailer = 'tiny-entailer'
const wait = { prefer: 'wait=30' }
const referenceOf = (name: string) =>
  JSON.parse(readFileSync(join(root, 'models/fixtures', name, 'reference.json'), 'utf8'))

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet({
    root,
    workers: 2,
    env: {
      MILLRACE_CONFIG: join(root, 'models/fixtures/millrace.json'),
      MILLRACE_MODELS: [tagger, reader, entailer].join(','),
      MAX_ITEMS: '64',
      MAX_INPUT_CHARS: '5000',
    },
  })
})
afterAll(() => fleet.stop())

const done = async (body: object) => {
  const answer = await post(fleet.url, body, wait)
  const job = jobOf(answer)
  expect(job).toMatchObject({ status: 'succeeded' })
  return { output: job.output as unknown, job, cache: answer.headers.get('x-cache') }
}

/** Numbers within 1e-4, everything else exactly. */
function expectLike(found: unknown, wanted: unknown): void {
  if (typeof wanted === 'number' && !Number.isInteger(wanted)) {
    expect(Math.abs((found as number) - wanted)).toBeLessThan(1e-4)
  } else if (typeof wanted === 'object' && wanted !== null) {
    expect(Object.keys(found as object)).toEqual(expect.arrayContaining(Object.keys(wanted)))
    expect(Object.keys(found as object)).toHaveLength(Object.keys(wanted).length)
    for (const [key, value] of Object.entries(wanted))
      expectLike((found as Record<string, unknown>)[key], value)
  } else {
    expect(found).toEqual(wanted)
  }
}

describe('a token-classification job', () => {
  const { items } = referenceOf(tagger) as {
    items: { text: string; truncate: boolean; entities: Record<string, unknown[]> }[]
  }
  const inputs = items.map(({ text }) => text)
  const tagged = (options: object) => done({ model: tagger, inputs, options: { truncate: true, ...options } })

  it.each(['simple', 'none', 'first', 'average', 'max'])('%s: the reference’s entities', async (strategy) => {
    const { output } = await tagged({ aggregation_strategy: strategy })
    expectLike(
      output,
      items.map(({ entities }) => entities[strategy]),
    )
  })

  it('is known from then on, under the default’s name or none, and another strategy is another result', async () => {
    const input = 'a mill of its own by the river'
    const first = await done({ model: tagger, input })
    expect(first.cache).toBe('miss')
    const named = await done({ model: tagger, input, options: { aggregation_strategy: 'simple' } })
    expect(named.cache).toBe('hit')
    expect(named.output).toEqual(first.output)
    expect((await done({ model: tagger, input, options: { aggregation_strategy: 'max' } })).cache).toBe(
      'miss',
    )
  })

  it('gives each text in a mixed batch what it gives it alone', async () => {
    const fresh = inputs.slice(0, 8).map((text, i) => `${i} ${text}`)
    const together = await done({ model: tagger, inputs: fresh, options: { truncate: true } })
    // The same texts with white space behind them have the same tokens, and are other items for the cache.
    for (const [i, text] of fresh.entries()) {
      const alone = await done({ model: tagger, input: `${text} `, options: { truncate: true } })
      expect(alone.cache).toBe('miss')
      expectLike(alone.output, (together.output as unknown[])[i])
    }
  })
})

describe('a question-answering job', () => {
  interface Item {
    question: string
    context: string
    answers: { options: Record<string, unknown>; output: unknown }[]
  }
  const { items } = referenceOf(reader) as { items: Item[] }
  const inputs = items.map(({ question, context }) => ({ question, context }))
  /** Without the impossible spans, of score 0, with which the pipeline fills up. */
  const likely = (output: unknown, many: boolean) => {
    const listed = (Array.isArray(output) ? output : [output]) as { score: number }[]
    return many ? listed.filter(({ score }) => score > 0) : listed[0]
  }

  it('gives the reference’s answers, of long contexts too, without truncate', async () => {
    for (const [at, { options }] of items[0]?.answers.entries() ?? []) {
      const { output } = await done({ model: reader, inputs, options })
      const many = typeof options.top_k === 'number'
      expectLike(
        output,
        items.map(({ answers }) => likely(answers[at]?.output, many)),
      )
    }
  })

  it('is known from then on, with the defaults by name or without, in whatever order the fields come', async () => {
    const input = { question: 'What turns?', context: 'the stone turns with the wheel' }
    const first = await done({ model: reader, input })
    expect(first.cache).toBe('miss')
    const options = { top_k: 1, max_answer_len: 15, handle_impossible_answer: false }
    const turned = { context: input.context, question: input.question }
    const named = await done({ model: reader, input: turned, options })
    expect(named.cache).toBe('hit')
    expect(named.output).toEqual(first.output)
    for (const other of [{ top_k: 2 }, { max_answer_len: 1 }, { handle_impossible_answer: true }]) {
      expect((await done({ model: reader, input, options: other })).cache).toBe('miss')
    }
  })

  it('gives each context in a mixed batch what it gives it alone', async () => {
    const fresh = inputs.map(({ question, context }, i) => ({ question, context: `${i} ${context}` }))
    const together = await done({ model: reader, inputs: fresh })
    for (const [i, { question, context }] of fresh.entries()) {
      const alone = await done({ model: reader, input: { question, context: `${context} ` } })
      expect(alone.cache).toBe('miss')
      expectLike(alone.output, (together.output as unknown[])[i])
    }
  })

  it('fails in the item whose question leaves no room for a long context', async () => {
    const input = { question: 'the '.repeat(40), context: 'the river and the mill '.repeat(40) }
    const job = jobOf(await post(fleet.url, { model: reader, input }, wait))
    expect(job).toMatchObject({ status: 'failed', error: { code: 'input_too_long' } })
    await done({ model: reader, input, options: { truncate: true } })
  })
})

describe('a zero-shot-classification job', () => {
  interface Item {
    text: string
    options: { candidate_labels: string[] }
    output: { labels: string[]; scores: number[] }
  }
  const { items } = referenceOf(entailer) as { items: Item[] }
  const texts = [...new Set(items.map(({ text }) => text))]

  it('gives the reference’s labels and scores, with each way to ask', async () => {
    for (const options of items.slice(0, items.length / texts.length).map((item) => item.options)) {
      const { output } = await done({
        model: entailer,
        inputs: texts,
        options: { ...options, truncate: true },
      })
      const asked = items.filter((item) => JSON.stringify(item.options) === JSON.stringify(options))
      expectLike(
        output,
        asked.map(({ output: wanted }) => wanted),
      )
    }
  })

  it('is known from then on, with the defaults by name or without; other labels are another result', async () => {
    const input = 'the river that drives a wheel'
    const options = { candidate_labels: ['river', 'wind'] }
    const first = await done({ model: entailer, input, options })
    expect(first.cache).toBe('miss')
    const defaults = { hypothesis_template: 'This example is {}.', multi_label: false, truncate: false }
    const named = await done({ model: entailer, input, options: { ...options, ...defaults } })
    expect(named.cache).toBe('hit')
    expect(named.output).toEqual(first.output)
    for (const other of [
      { candidate_labels: ['river'] },
      { multi_label: true },
      { hypothesis_template: '{}' },
    ]) {
      expect((await done({ model: entailer, input, options: { ...options, ...other } })).cache).toBe('miss')
    }
  })

  it('gives each text in a mixed batch what it gives it alone', async () => {
    const options = { candidate_labels: ['a mill', 'the wind and the river', 'box'], truncate: true }
    const together = await done({ model: entailer, inputs: texts, options })
    for (const [i, text] of texts.entries()) {
      const alone = await done({ model: entailer, input: `${text} `, options })
      expect(alone.cache).toBe('miss')
      expectLike(alone.output, (together.output as unknown[])[i])
    }
  })

  it('fails in the item that is too long with a label, unless it may be cut', async () => {
    const body = {
      model: entailer,
      inputs: ['a', 'mill '.repeat(58)],
      options: { candidate_labels: ['box', 'river'] },
    }
    const job = jobOf(await post(fleet.url, body, wait))
    expect(job.output).toMatchObject([{ labels: expect.anything() }, { error: { code: 'input_too_long' } }])
    await done({ ...body, options: { ...body.options, truncate: true } })
  })
})

describe('bad input has its own code and path', () => {
  const long = 'the river and the mill '.repeat(40)
  const tag = { model: tagger, input: 'x' }
  const input = { question: 'q', context: 'c' }
  const ask = { model: reader, input }
  const labeled = (options: object) => ({ model: entailer, input: 'x', options })
  const labels = 'options.candidate_labels'
  it.each([
    ['a text too long', { ...tag, input: long }, 'input_too_long', 'input'],
    ['a pair', { ...tag, input: { query: 'q', text: 't' } }, 'invalid_request', 'input'],
    ['an empty text', { model: tagger, inputs: ['x', ''] }, 'empty_input', 'inputs[1]'],
    [
      'an unknown strategy',
      { ...tag, options: { aggregation_strategy: 'most' } },
      'invalid_request',
      'options.aggregation_strategy',
    ],
    ['an option of another task', { ...tag, options: { top_k: 1 } }, 'invalid_request', 'options.top_k'],
    ['no labels', labeled({}), 'invalid_request', labels],
    ['an empty list of labels', labeled({ candidate_labels: [] }), 'invalid_request', labels],
    ['an empty label', labeled({ candidate_labels: ['a', ''] }), 'invalid_request', labels],
    ['a label twice', labeled({ candidate_labels: ['a', 'a'] }), 'invalid_request', labels],
    ['a label of another kind', labeled({ candidate_labels: ['a', 7] }), 'invalid_request', labels],
    ['labels in one string', labeled({ candidate_labels: 'a, b' }), 'invalid_request', labels],
    ['a label too long', labeled({ candidate_labels: ['x'.repeat(201)] }), 'invalid_request', labels],
    [
      'too many labels',
      labeled({ candidate_labels: Array.from({ length: 65 }, String) }),
      'invalid_request',
      labels,
    ],
    ['half a character in a label', labeled({ candidate_labels: ['a\ud800'] }), 'invalid_request', labels],
    [
      'a template without a place',
      labeled({ candidate_labels: ['a'], hypothesis_template: 'no' }),
      'invalid_request',
      'options.hypothesis_template',
    ],
    [
      'a template with two',
      labeled({ candidate_labels: ['a'], hypothesis_template: '{} {}' }),
      'invalid_request',
      'options.hypothesis_template',
    ],
    ['labels for a tagger', { ...tag, options: { candidate_labels: ['a'] } }, 'invalid_request', labels],
    ['a text for a reader', { model: reader, input: 'x' }, 'invalid_request', 'input'],
    [
      'a query for a reader',
      { model: reader, inputs: [input, { query: 'q', text: 't' }] },
      'invalid_request',
      'inputs[1]',
    ],
    ['a question alone', { model: reader, inputs: [{ question: 'q' }] }, 'invalid_request', 'inputs[0]'],
    [
      'an empty question',
      { model: reader, input: { ...input, question: '' } },
      'empty_input',
      'input.question',
    ],
    [
      'an empty context',
      { model: reader, inputs: [input, { ...input, context: '' }] },
      'empty_input',
      'inputs[1].context',
    ],
    [
      'half a character',
      { model: reader, input: { ...input, context: '\ud800' } },
      'invalid_input',
      'input.context',
    ],
    [
      'too many characters',
      { model: reader, input: { ...input, context: 'x'.repeat(5001) } },
      'input_too_long',
      'input.context',
    ],
    ['too many answers', { ...ask, options: { top_k: 21 } }, 'invalid_request', 'options.top_k'],
    [
      'no length of an answer',
      { ...ask, options: { max_answer_len: 0 } },
      'invalid_request',
      'options.max_answer_len',
    ],
    [
      'neither yes nor no',
      { ...ask, options: { handle_impossible_answer: 1 } },
      'invalid_request',
      'options.handle_impossible_answer',
    ],
  ] as const)('%s: %s', async (_name, body, code, path) => {
    const answer = await post(fleet.url, body)
    const problem = problemOf(answer)
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code, path })
    expect(answer.status).toBe(errorCodes[code].status)
  })
})

describe('what operators see', () => {
  it('the task and the facts of each model', async () => {
    // A gateway looks at the fleet once a second, and a worker may need a second try to announce itself.
    const data = await eventually(async () => {
      const { body } = await call(fleet.url, '/v1/models')
      const { data } = body as { data: { id: string; workers: number }[] }
      return data.find(({ id }) => id === entailer)?.workers === 2 && data
    })
    expect(data.find(({ id }) => id === entailer)).toMatchObject({
      task: 'zero-shot-classification',
      workers: 2,
      facts: { entailment_label: 'entailment', batching: { mode: 'batched' } },
    })
    expect(data.find(({ id }) => id === reader)).toMatchObject({
      task: 'question-answering',
      workers: 2,
      facts: { part_tokens: 64, batching: { mode: 'batched' } },
    })
    expect(data.find(({ id }) => id === tagger)).toMatchObject({
      task: 'token-classification',
      workers: 2,
      facts: {
        labels: referenceOf(tagger).labels,
        places: true,
        max_tokens: 64,
        batching: { mode: 'batched' },
      },
    })
  })
})
