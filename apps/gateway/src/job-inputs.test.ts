import { MillraceError, type SubmitJob, submitJobSchema, type Task } from '@millrace/contracts'
import { loadTextTokenizer, writePair } from '@millrace/tokenizer'
import { describe, expect, test } from 'vitest'
import { jobInputs, readingOf, submitOptions } from './job-inputs.js'

const limits = { maxItems: 4, maxChars: 400 }
const reranker = await loadTextTokenizer(
  new URL('../../../models/fixtures/tiny-reranker', import.meta.url).pathname,
  'rerank',
)

const filler = await loadTextTokenizer(
  new URL('../../../models/fixtures/tiny-filler', import.meta.url).pathname,
  'fill-mask',
)

const tokenizers: Partial<Record<Task, typeof reranker>> = {
  rerank: reranker,
  'question-answering': reranker,
  'fill-mask': filler,
}

const bodyOf = (body: object): SubmitJob => submitJobSchema.parse({ model: 'm', ...body })

async function faults(body: object, task: Task = 'rerank') {
  try {
    await jobInputs(bodyOf(body), task, tokenizers[task], limits)
    return []
  } catch (error) {
    if (error instanceof MillraceError) return error.errors.map(({ code, path }) => `${code} ${path}`)
    throw error
  }
}

describe('inputs', () => {
  const pair = { query: 'which mill?', text: 'this one' }

  test('of a rerank model are pairs, each as one string', async () => {
    const input = writePair({ first: pair.query, second: pair.text })
    expect(await jobInputs(bodyOf({ inputs: [pair, pair] }), 'rerank', reranker, limits)).toEqual({
      inputs: [input, input],
      single: false,
    })
    expect(await jobInputs(bodyOf({ input: pair }), 'rerank', reranker, limits)).toEqual({
      inputs: [input],
      single: true,
    })
  })

  test('of the other models are strings', async () => {
    for (const task of ['feature-extraction', 'text-classification'] as const) {
      expect(await jobInputs(bodyOf({ inputs: ['a', 'b'] }), task, undefined, limits)).toEqual({
        inputs: ['a', 'b'],
        single: false,
      })
    }
  })

  test('of another task’s shape are refused by their paths', async () => {
    expect(await faults({ inputs: [pair, 'text'] })).toEqual(['invalid_request inputs[1]'])
    expect(await faults({ input: 'text' })).toEqual(['invalid_request input'])
    expect(await faults({ inputs: ['text', pair] }, 'text-classification')).toEqual([
      'invalid_request inputs[1]',
    ])
  })

  test('of a fill-mask model hold its mask exactly once, by their paths, also where they may be cut', async () => {
    const inputs = ['the [MASK].', 'no mask', '[MASK] [MASK]']
    for (const truncate of [false, true]) {
      expect(await faults({ inputs, options: { truncate } }, 'fill-mask')).toEqual([
        'invalid_input inputs[1]',
        'invalid_input inputs[2]',
      ])
    }
    expect(await faults({ input: 'a mill' }, 'fill-mask')).toEqual(['invalid_input input'])
    expect(await faults({ input: 'a [MASK] mill' }, 'fill-mask')).toEqual([])
  })

  test('of a question-answering model are a question and a context, in whatever order, and may be long', async () => {
    const asked = { question: 'which mill?', context: 'this one' }
    const input = writePair({ first: asked.question, second: asked.context })
    const inputs = [asked, { context: asked.context, question: asked.question }]
    const found = await jobInputs(bodyOf({ inputs }), 'question-answering', reranker, limits)
    expect(found).toEqual({ inputs: [input, input], single: false })
    const long = { ...asked, context: 'the '.repeat(90) }
    expect(await faults({ input: long }, 'question-answering')).toEqual([])
    expect(await faults({ inputs: [asked, pair] }, 'question-answering')).toEqual([
      'invalid_request inputs[1]',
    ])
    expect(await faults({ input: { ...asked, context: '' } }, 'question-answering')).toEqual([
      'empty_input input.context',
    ])
  })

  test('of a pair are each looked at, by their own paths', async () => {
    expect(await faults({ input: { query: '', text: '\ud800' } })).toEqual([
      'empty_input input.query',
      'invalid_input input.text',
    ])
    expect(await faults({ inputs: [pair, { ...pair, text: 'x'.repeat(401) }] })).toEqual([
      'input_too_long inputs[1].text',
    ])
    expect(await faults({ inputs: [{ ...pair, query: '\u0000pair:1:ab' }] })).toEqual([
      'invalid_input inputs[0].query',
    ])
  })

  test('of a pair are too long together', async () => {
    const half = 'the '.repeat(40)
    expect(await faults({ inputs: [pair, { query: half, text: half }] })).toEqual([
      'input_too_long inputs[1]',
    ])
    expect(await faults({ inputs: [{ query: half, text: half }], options: { truncate: true } })).toEqual([])
  })

  test('are counted', async () => {
    expect(await faults({ inputs: [] })).toEqual(['empty_input inputs'])
    expect(await faults({ inputs: Array(5).fill(pair) })).toEqual(['too_many_items inputs'])
  })

  test('of no shape at all are refused by the schema, each by its place', () => {
    const inputs = ['text', 7, { query: 'q' }, { ...pair, more: 1 }, pair]
    const { error } = submitJobSchema.safeParse({ model: 'm', inputs })
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['inputs.1', 'inputs.2', 'inputs.3'])
  })
})

describe('options', () => {
  const optionsOf = (options: object, task: Task) => {
    try {
      return submitOptions(bodyOf({ input: 'a', options }).options, task, { maxNewTokens: 1000 })
    } catch (error) {
      if (error instanceof MillraceError) return error.message
      throw error
    }
  }

  test('that fit are taken, and none is needed', () => {
    const none = { truncate: false, encoding: 'float' }
    expect(optionsOf({}, 'rerank')).toEqual(none)
    expect(optionsOf({ encoding: 'base64', truncate: true }, 'feature-extraction')).toEqual({
      truncate: true,
      encoding: 'base64',
    })
    expect(optionsOf({ top_k: 2 }, 'text-classification')).toEqual({ ...none, topK: 2 })
    expect(optionsOf({ top_k: 20 }, 'fill-mask')).toEqual({ ...none, topK: 20 })
    expect(optionsOf({ raw_scores: true }, 'rerank')).toEqual({ ...none, rawScores: true })
  })

  test('of another task are refused by their path, with those that fit', () => {
    expect(optionsOf({ encoding: 'float' }, 'text-classification')).toBe(
      'options.encoding: a text-classification model takes truncate and top_k',
    )
    expect(optionsOf({ top_k: 1 }, 'rerank')).toMatch(/^options.top_k: /)
    expect(optionsOf({ raw_scores: false }, 'feature-extraction')).toMatch(/^options.raw_scores: /)
    expect(optionsOf({ truncate: true }, 'automatic-speech-recognition')).toMatch(/^options.truncate: /)
  })

  test('that decide a result are given to the model, with their defaults, and a needed one is missed by its path', () => {
    const labels = { candidate_labels: ['river', 'wind'] }
    const byDefault = { ...labels, hypothesis_template: 'This example is {}.', multi_label: false }
    const none = { truncate: false, encoding: 'float' }
    expect(optionsOf(labels, 'zero-shot-classification')).toEqual({ ...none, params: byDefault })
    expect(optionsOf({ ...labels, multi_label: true }, 'zero-shot-classification')).toEqual({
      ...none,
      params: { ...byDefault, multi_label: true },
    })
    expect(optionsOf({}, 'zero-shot-classification')).toBe(
      'options.candidate_labels: a zero-shot-classification model needs it',
    )
    expect(optionsOf({}, 'token-classification')).toEqual({
      ...none,
      params: { aggregation_strategy: 'simple' },
    })
    expect(optionsOf({ top_k: 21 }, 'question-answering')).toMatch(/at most 20$/)
  })

  test('say how much of an input is read, and how often', () => {
    const params = { candidate_labels: ['river', 'wind'] }
    expect(readingOf('zero-shot-classification', { params })).toEqual({
      whole: false,
      times: 2,
      newTokens: 0,
    })
    expect(readingOf('translation', { params: { max_new_tokens: 9 } })).toMatchObject({ newTokens: 9 })
    expect(readingOf('question-answering', {})).toEqual({ whole: true, times: 1, newTokens: 0 })
  })

  test('ask for no more candidates than are computed', () => {
    expect(optionsOf({ top_k: 21 }, 'fill-mask')).toBe('options.top_k: a fill-mask model gives at most 20')
    expect(optionsOf({ top_k: 21 }, 'text-classification')).toMatchObject({ topK: 21 })
  })

  test('that decide a text are all in its key, as given or by default', () => {
    const none = { max_new_tokens: 256, min_new_tokens: 0, do_sample: false }
    expect(optionsOf({}, 'text-generation')).toMatchObject({ params: none })
    expect(optionsOf({ max_new_tokens: 256 }, 'summarization')).toEqual(optionsOf({}, 'summarization'))
    const given = { stop: ['.'], repetition_penalty: 1.2, no_repeat_ngram_size: 3, max_time_ms: 5 }
    expect(optionsOf(given, 'translation')).toMatchObject({ params: { ...none, ...given } })
    expect(optionsOf({ max_new_tokens: 9 }, 'text-classification')).toMatch(/^options.max_new_tokens: /)
  })

  test('for drawing need it; what is drawn without a seed is nobody else’s', () => {
    const drawn = { do_sample: true, temperature: 0.7, top_k: 5, top_p: 0.9 }
    expect(optionsOf(drawn, 'text-generation')).toMatchObject({ params: drawn, unshared: true })
    expect(optionsOf({ ...drawn, seed: 0 }, 'text-generation')).not.toHaveProperty('unshared')
    for (const name of ['temperature', 'top_k', 'top_p', 'seed']) {
      expect(optionsOf({ [name]: 1 }, 'text-generation')).toMatch(`options.${name}: `)
    }
  })

  test('ask for no more tokens than this gateway lets through, and no fewer than the least', () => {
    expect(optionsOf({ max_new_tokens: 1001 }, 'text-generation')).toBe(
      'options.max_new_tokens: at most 1000 here',
    )
    expect(optionsOf({ min_new_tokens: 257 }, 'text-generation')).toMatch(/^options.min_new_tokens: /)
    expect(optionsOf({ min_new_tokens: 9, max_new_tokens: 9 }, 'text-generation')).toMatchObject({})
  })

  test.each([
    { temperature: 0 },
    { top_p: 1.1 },
    { stop: [] },
    { stop: [''] },
    { seed: -1 },
    { top_k: 0 },
    { top_k: 1.5 },
    { top_k: '1' },
    { nope: 1 },
  ])('%j is none', (options) => {
    expect(submitJobSchema.safeParse({ model: 'm', input: 'a', options }).success).toBe(false)
  })
})
