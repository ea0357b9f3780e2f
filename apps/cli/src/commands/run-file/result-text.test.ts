import { expect, test } from 'vitest'
import { failureText, resultText } from './result-text.js'

test('a vector in base64 is written as the numbers of the API, in its own short form', () => {
  const base64 = Buffer.from(new Float32Array([0.1, -0.25, 0, 1]).buffer).toString('base64')
  expect(resultText({ index: 0, id: undefined, output: base64 }, 'float')).toBe(
    '{"index":0,"output":[0.1,-0.25,0,1]}\n',
  )
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
