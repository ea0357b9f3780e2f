import fc from 'fast-check'
import { expect, test } from 'vitest'
import { failureText, resultText, shortFloat } from './result-text.js'

test('a written number is the same float32, in at most 9 digits', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(Math.fround(shortFloat(value))).toBe(value)
    }),
  )
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: Math.fround(-10), max: 10 }), (value) => {
      fc.pre(Math.abs(value) > 1e-9)
      const digits = JSON.stringify(shortFloat(value))
        .replace(/e.*/, '')
        .replace(/[-.]/g, '')
        .replace(/^0+/, '')
      expect(digits.length).toBeLessThanOrEqual(9)
    }),
  )
  expect(JSON.stringify(shortFloat(Math.fround(0.1)))).toBe('0.1')
  expect([0, 1, 0.5].map(shortFloat)).toEqual([0, 1, 0.5])
})

test('a line of output has the id only where the input had one', () => {
  expect(resultText({ index: 3, id: undefined, output: 'AACAPw==' }, 'float')).toBe(
    '{"index":3,"output":[1]}\n',
  )
  expect(resultText({ index: 3, id: null, output: 'AACAPw==' }, 'base64')).toBe(
    '{"index":3,"id":null,"output":"AACAPw=="}\n',
  )
})

test('a failure is written to both files, its input to the errors alone', () => {
  const failed = {
    index: 1,
    id: 'x',
    input: 'text',
    error: { code: 'input_too_long', detail: 'long' },
  } as const
  expect(JSON.parse(resultText(failed, 'float'))).toEqual({ index: 1, id: 'x', error: failed.error })
  expect(JSON.parse(failureText(failed))).toEqual(failed)
  expect(failureText({ index: 1, id: undefined, output: '' })).toBe('')
})
