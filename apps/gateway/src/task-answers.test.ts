import { encodeError, encodeLabels, encodeScore } from '@millrace/cache'
import { classificationListSchema, MillraceError, rerankListSchema } from '@millrace/contracts'
import { describe, expect, test } from 'vitest'
import { type Classified, classificationsText } from './classify-answer.js'
import { type Ranked, rankingText } from './rerank-answer.js'

const broken = encodeError({ code: 'inference_failed', detail: 'no' })

function faultOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof MillraceError)
      return `${error.code} ${error.errors.map(({ path }) => path).join(' ')}`
    throw error
  }
  return 'none'
}

describe('classifications', () => {
  const labels = ['low', 'high', 'mid']
  const bytes = encodeLabels(labels, new Float32Array([0.1, 0.7, 0.2]))
  const other = encodeLabels(labels, new Float32Array([0.5, 0.25, 0.25]))
  const classified = (more: Partial<Classified> = {}): Classified => ({
    model: 'm',
    slots: [0, 1, 0],
    results: new Map([bytes, other].entries()),
    topK: undefined,
    promptTokens: 9,
    pathOf: (i) => `input[${i}]`,
    ...more,
  })
  const answer = (given: Classified) =>
    classificationListSchema.strict().parse(JSON.parse(classificationsText(given)))

  test('each input has its labels, in its place, best first, and its scores in the model’s order', () => {
    const { data, ...list } = answer(classified())
    expect(list).toEqual({ object: 'list', model: 'm', usage: { prompt_tokens: 9, total_tokens: 9 } })
    expect(data.map(({ index, label }) => [index, label])).toEqual([
      [0, 'high'],
      [1, 'low'],
      [2, 'high'],
    ])
    expect(data[0]).toEqual({
      index: 0,
      label: 'high',
      probs: [0.1, 0.7, 0.2],
      num_classes: 3,
      labels: [
        { label: 'high', score: 0.7 },
        { label: 'mid', score: 0.2 },
        { label: 'low', score: 0.1 },
      ],
    })
  })

  test('labels with equal scores stay in the model’s order', () => {
    expect(answer(classified()).data[1]?.labels.map(({ label }) => label)).toEqual(['low', 'high', 'mid'])
  })

  test('top_k cuts the labels, not the scores', () => {
    const [first] = answer(classified({ topK: 1 })).data
    expect(first?.labels).toEqual([{ label: 'high', score: 0.7 }])
    expect(first?.probs).toHaveLength(3)
  })

  test('one input that failed fails all, by its path', () => {
    const results = new Map([bytes, broken].entries())
    expect(faultOf(() => classificationsText(classified({ results })))).toBe('inference_failed input[1]')
    const missing = new Map([[0, bytes]])
    expect(faultOf(() => classificationsText(classified({ results: missing })))).toBe(
      'inference_failed input[1]',
    )
  })
})

describe('rankings', () => {
  const results = new Map([-1, 3, 0, 3].map(encodeScore).entries())
  const ranked = (more: Partial<Ranked> = {}): Ranked => ({
    model: 'm',
    slots: [0, 1, 2, 3],
    results,
    topN: undefined,
    documents: undefined,
    rawScores: false,
    promptTokens: 9,
    pathOf: (i) => `documents[${i}]`,
    ...more,
  })
  const answer = (given: Ranked) => rerankListSchema.strict().parse(JSON.parse(rankingText(given)))
  const order = (given: Ranked) => answer(given).results.map(({ index }) => index)

  test('documents come best first; equal ones stay in the order of the request', () => {
    expect(order(ranked())).toEqual([1, 3, 2, 0])
    expect(answer(ranked()).usage).toEqual({ prompt_tokens: 9, total_tokens: 9 })
  })

  test('scores lie between 0 and 1, or are the model’s own', () => {
    const scores = answer(ranked()).results.map(({ relevance_score }) => relevance_score)
    expect(scores[2]).toBe(0.5)
    expect(scores[0]).toBeCloseTo(1 / (1 + Math.exp(-3)), 6)
    const raw = answer(ranked({ rawScores: true })).results.map(({ relevance_score }) => relevance_score)
    expect(raw).toEqual([3, 3, 0, -1])
  })

  test('documents whose scores both read 1 are still told apart', () => {
    const far = new Map([40, 60].map(encodeScore).entries())
    const given = ranked({ slots: [0, 1], results: far })
    expect(answer(given).results.map(({ relevance_score }) => relevance_score)).toEqual([1, 1])
    expect(order(given)).toEqual([1, 0])
  })

  test('top_n cuts the worst off, and more than there are is all of them', () => {
    expect(order(ranked({ topN: 2 }))).toEqual([1, 3])
    expect(order(ranked({ topN: 99 }))).toHaveLength(4)
  })

  test('a document given twice is ranked twice', () => {
    expect(order(ranked({ slots: [0, 1, 0] }))).toEqual([1, 0, 2])
  })

  test('the documents come with it where they were asked for', () => {
    const documents = ['a', 'b "quoted"', 'c', 'd']
    expect(answer(ranked({ documents, topN: 1 })).results).toMatchObject([
      { index: 1, document: { text: 'b "quoted"' } },
    ])
    expect(answer(ranked()).results[0]).not.toHaveProperty('document')
  })

  test('one document that failed fails all, by its path', () => {
    const failed = new Map([...results, [2, broken] as const])
    expect(faultOf(() => rankingText(ranked({ results: failed })))).toBe('inference_failed documents[2]')
  })
})
