import { encodeCandidates, encodeError, encodeLabels, encodeScore, encodeVector } from '@millrace/cache'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonBytes } from './json-bytes.js'
import { rankedLabels } from './scores.js'
import { type ResultForm, ResultTexts } from './vector-json.js'

const textOf = (texts: ResultTexts, ...[bytes, form, held]: [Buffer, ResultForm, boolean]) =>
  jsonBytes((json) => texts.write(json, bytes, form, held)).toString()

test('what JSON cannot say is null', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([Number.NaN, Number.POSITIVE_INFINITY, 1]))
  expect(textOf(texts, vector, { encoding: 'float' }, true)).toBe('[null,null,1]')
})

test('a result is numbers, base64 of little-endian float32, or its error', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([0.1, -0.25, 0, 1]))
  expect(textOf(texts, vector, { encoding: 'float' }, true)).toBe('[0.1,-0.25,0,1]')
  const bytes = Buffer.from(JSON.parse(textOf(texts, vector, { encoding: 'base64' }, true)), 'base64')
  expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(at))).toEqual([Math.fround(0.1), -0.25, 0, 1])
  const failed = encodeError({ code: 'input_too_long', detail: '300 tokens' })
  for (const encoding of ['float', 'base64'] as const) {
    expect(JSON.parse(textOf(texts, failed, { encoding }, true))).toEqual({
      error: { code: 'input_too_long', detail: '300 tokens' },
    })
  }
})

test('one result asked for in both encodings keeps each', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([1]))
  expect([
    textOf(texts, vector, { encoding: 'float' }, true),
    textOf(texts, vector, { encoding: 'base64' }, true),
    textOf(texts, vector, { encoding: 'float' }, true),
  ]).toEqual(['[1]', '"AACAPw=="', '[1]'])
})

test('the text of a vector is kept where the cache holds its bytes, and only there', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([1]))
  const said = (held: boolean) => textOf(texts, vector, { encoding: 'float' }, held)
  // Changed under its hand: what is kept is told by what it says.
  const change = (to: number) => encodeVector(new Float32Array([to])).copy(vector)
  expect(said(false)).toBe('[1]')
  change(2)
  expect(said(true)).toBe('[2]')
  change(3)
  expect([said(false), said(true)]).toEqual(['[2]', '[2]'])
})

test('labels come best first, as many as were asked for', () => {
  const texts = new ResultTexts(1 << 20)
  const bytes = encodeLabels(['low', 'hi "gh"', 'mid'], new Float32Array([0.1, 0.7, 0.2]))
  const all = [
    { label: 'hi "gh"', score: 0.7 },
    { label: 'mid', score: 0.2 },
    { label: 'low', score: 0.1 },
  ]
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float' }, true))).toEqual(all)
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float', topK: 2 }, true))).toEqual(all.slice(0, 2))
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float', topK: 99 }, true))).toEqual(all)
})

test('every ranking holds every label once, and no label stands behind a worse one', () => {
  const scores = fc.array(fc.float({ noNaN: true }), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(scores, (given) => {
      const labels = given.map((_, at) => `label ${at}`)
      const ranked = rankedLabels(labels, Float32Array.from(given))
      expect(ranked.map(({ label }) => label).toSorted()).toEqual(labels.toSorted())
      for (const [at, one] of ranked.entries()) {
        expect(one.score).toBeLessThanOrEqual(ranked[at - 1]?.score ?? Number.POSITIVE_INFINITY)
      }
    }),
  )
})

test('a score is the sigmoid of its logit, or the logit itself', () => {
  const texts = new ResultTexts(1 << 20)
  const scoreOf = (logit: number, rawScores?: boolean) =>
    JSON.parse(
      textOf(
        texts,
        encodeScore(logit),
        { encoding: 'float', ...(rawScores === undefined ? {} : { rawScores }) },
        true,
      ),
    ).score
  expect(scoreOf(0)).toBe(0.5)
  expect(scoreOf(-2)).toBeCloseTo(1 / (1 + Math.exp(2)), 7)
  expect(scoreOf(-2, true)).toBe(-2)
  expect([scoreOf(-200), scoreOf(200)]).toEqual([0, 1])
})

test('of candidates the best five are written, or so many as are asked for', () => {
  const texts = new ResultTexts(1 << 20)
  const all = Array.from({ length: 8 }, (_, at) => ({
    score: 0.5 / (at + 1),
    token: at,
    token_str: `t${at}`,
    sequence: `the t${at}.`,
  }))
  const bytes = encodeCandidates(all)
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float' }, true))).toEqual(all.slice(0, 5))
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float', topK: 1 }, true))).toEqual(all.slice(0, 1))
  expect(JSON.parse(textOf(texts, bytes, { encoding: 'float', topK: 20 }, true))).toEqual(all)
})
