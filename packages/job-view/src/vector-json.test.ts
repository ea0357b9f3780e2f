import { encodeError, encodeVector } from '@millrace/cache'
import { expect, test } from 'vitest'
import { ResultTexts } from './vector-json.js'

test('what JSON cannot say is null', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([Number.NaN, Number.POSITIVE_INFINITY, 1]))
  expect(texts.textOf(vector, 'float')).toBe('[null,null,1]')
})

test('a result is numbers, base64 of little-endian float32, or its error', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([0.1, -0.25, 0, 1]))
  expect(texts.textOf(vector, 'float')).toBe('[0.1,-0.25,0,1]')
  const bytes = Buffer.from(JSON.parse(texts.textOf(vector, 'base64')), 'base64')
  expect([0, 4, 8, 12].map((at) => bytes.readFloatLE(at))).toEqual([Math.fround(0.1), -0.25, 0, 1])
  const failed = encodeError({ code: 'input_too_long', detail: '300 tokens' })
  for (const encoding of ['float', 'base64'] as const) {
    expect(JSON.parse(texts.textOf(failed, encoding))).toEqual({
      error: { code: 'input_too_long', detail: '300 tokens' },
    })
  }
})

test('one result asked for in both encodings keeps each', () => {
  const texts = new ResultTexts(1 << 20)
  const vector = encodeVector(new Float32Array([1]))
  expect([
    texts.textOf(vector, 'float'),
    texts.textOf(vector, 'base64'),
    texts.textOf(vector, 'float'),
  ]).toEqual(['[1]', '"AACAPw=="', '[1]'])
})
