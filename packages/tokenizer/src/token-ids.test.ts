import { MillraceError } from '@millrace/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isTokenIds, readTokenIds, writeTokenIds } from './token-ids.js'

const id = fc.integer({ min: 0, max: 2 ** 31 - 1 })

test('every list of ids is read back as it was written, and no two are written alike', () => {
  fc.assert(
    fc.property(fc.array(id), fc.array(id), (one, other) => {
      expect(readTokenIds(writeTokenIds(one))).toEqual(one)
      expect(writeTokenIds(one) === writeTokenIds(other)).toBe(JSON.stringify(one) === JSON.stringify(other))
    }),
  )
})

test('what is written is well-formed text and survives JSON', () => {
  const written = writeTokenIds([7592, 0, 102])
  expect(written.isWellFormed()).toBe(true)
  expect(JSON.parse(JSON.stringify(written))).toBe(written)
  expect(isTokenIds(written)).toBe(true)
})

test.each(['', 'hello', '7592,102', 'token-ids:1', ' \u0000token-ids:1'])('%j is a text', (text) => {
  expect(isTokenIds(text)).toBe(false)
})

test.each([
  '01',
  '1,',
  ',1',
  ',',
  '1,,2',
  '+1',
  '-1',
  '1.5',
  '1e3',
  ' 1',
  '0x1',
  'NaN',
  'Infinity',
  '2147483648',
])('a second spelling of a list, or none, is refused: %j', (list) => {
  const found = () => readTokenIds(writeTokenIds([]) + list)
  expect(found).toThrow(MillraceError)
  expect(found).toThrow('is none')
})
