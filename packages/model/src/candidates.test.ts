/** The best of many, against a plain sort. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { activate } from './activation.js'
import { bestOf, scoredTokens } from './candidates.js'

test('of any logits the best come first, with their places, and ties in the order of places', () => {
  const logits = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 25 }), (given, most) => {
      const scores = activate(Float32Array.from(given), 'softmax')
      const wanted = Array.from(scores, (score, token) => ({ token, score }))
        .sort((a, b) => b.score - a.score || a.token - b.token)
        .slice(0, most)
      expect(scoredTokens(bestOf(Float32Array.from(given), most))).toEqual(wanted)
    }),
  )
})

test('a logit that is no number leaves no score that looks like one', () => {
  expect(
    bestOf(Float32Array.of(1, Number.NaN, 2), 2)
      .slice(0, 2)
      .every(Number.isNaN),
  ).toBe(true)
})
