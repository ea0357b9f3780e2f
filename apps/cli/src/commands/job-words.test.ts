/** Outputs as lines, where an item's output is itself a list. */
import type { Job } from '@millrace/client'
import { expect, test } from 'vitest'
import { outputLines } from './job-words.js'

const linesOf = (output: Job['output'], total: number) =>
  outputLines({ output, progress: { done: total, total } } as Job)

const candidates = ['mill', 'wheel', 'stone', 'wind', 'river'].map((word, at) => ({
  score: 0.5 / 2 ** at,
  token: at,
  token_str: word,
  sequence: `the ${word}`,
}))
const words = 'mill 0.5000, wheel 0.2500, stone 0.1250, wind 0.06250, ... (5 candidates)'

test('candidates of one text are one line, given as input or as a list of one', () => {
  expect(linesOf(candidates, 1)).toEqual([`  0  ${words}`])
  expect(linesOf([candidates], 1)).toEqual([`  0  ${words}`])
})

test('candidates of many texts are a line each, beside an error in its place', () => {
  const error = { error: { code: 'invalid_input' as const, detail: 'no [MASK]' } }
  expect(linesOf([candidates.slice(0, 1), error], 2)).toEqual([
    '  0  mill 0.5000',
    '  1  invalid_input: no [MASK]',
  ])
})

test('labels are named as labels', () => {
  expect(linesOf([{ label: 'praise', score: 0.7 }], 1)).toEqual(['  0  praise 0.7000'])
})
