import { shortFloat } from '@millrace/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonBytes } from './json-bytes.js'

const floatsText = (values: Float32Array) => jsonBytes((json) => json.floats(values)).toString()
const readBack = (text: string) => Float32Array.from(JSON.parse(text) as number[])

test('every finite vector reads back exactly', () => {
  const any = fc.float({ noNaN: true, noDefaultInfinity: true })
  const usual = fc.float({ noNaN: true, min: -1, max: 1 })
  fc.assert(
    fc.property(fc.array(fc.oneof(any, usual), { maxLength: 40 }), (numbers) => {
      // JSON has one zero.
      const values = Float32Array.from(numbers, (value) => value + 0)
      const text = floatsText(values)
      expect(readBack(text)).toEqual(values)
      expect(JSON.parse(text)).toEqual(Array.from(values, shortFloat))
      expect(text).not.toMatch(/\.\d*0[,\]]/)
    }),
    { numRuns: 1000 },
  )
})

test('the neighbours of every power of ten read back exactly, and have at most 9 digits', () => {
  for (let exponent = -8; exponent <= 2; exponent++) {
    const at = new Float32Array([10 ** exponent])
    const bits = new Int32Array(at.buffer)
    const values = Float32Array.from({ length: 201 }, (_, step) => {
      const near = new Int32Array([(bits[0] ?? 0) + step - 100])
      return new Float32Array(near.buffer)[0] ?? 0
    })
    const text = floatsText(values)
    expect(readBack(text)).toEqual(values)
    expect(JSON.parse(text)).toEqual(Array.from(values, shortFloat))
    for (const number of text.slice(1, -1).split(',')) {
      expect(number.replace(/e.*/, '').replace('.', '').replace(/^0+/, '').length).toBeLessThanOrEqual(9)
    }
  }
})

test('what JSON cannot say is null, and an empty vector is an empty array', () => {
  expect(floatsText(new Float32Array([Number.NaN, Number.NEGATIVE_INFINITY, 0, -0.5]))).toBe(
    '[null,null,0,-0.5]',
  )
  expect(floatsText(new Float32Array())).toBe('[]')
})
