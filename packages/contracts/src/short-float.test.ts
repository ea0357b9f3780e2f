import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shortFloat } from './short-float.js'

const digits = (text: string) =>
  text.replace(/e.*/, '').replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '').length

test('every finite float32 reads back exactly and has at most 9 digits', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = JSON.stringify(shortFloat(value))
      expect(Math.fround(JSON.parse(text)) === value).toBe(true)
      expect(digits(text)).toBeLessThanOrEqual(9)
    }),
    { numRuns: 2000 },
  )
})
