import { MillraceError } from '@millrace/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPair, readPair, writePair } from './pair.js'

const text = fc.string({ unit: 'binary' })
const pair = fc.record({ first: text, second: text })

test('every pair is read back as it was written, and no two are written alike', () => {
  fc.assert(
    fc.property(pair, pair, (one, other) => {
      expect(readPair(writePair(one))).toEqual(one)
      expect(writePair(one) === writePair(other)).toBe(JSON.stringify(one) === JSON.stringify(other))
    }),
  )
})

test('where one text ends and the other begins makes a difference', () => {
  expect(writePair({ first: 'ab', second: 'c' })).not.toBe(writePair({ first: 'a', second: 'bc' }))
})

test('what is written is well-formed text and survives JSON', () => {
  const written = writePair({ first: 'mill 🙂', second: 'ünï' })
  expect(written.isWellFormed()).toBe(true)
  expect(JSON.parse(JSON.stringify(written))).toBe(written)
  expect(isPair(written)).toBe(true)
})

test.each(['', 'hello', 'pair:1:ab', ' \u0000pair:1:ab', '\u0000token-ids:1'])('%j is no pair', (text) => {
  expect(isPair(text)).toBe(false)
})

test.each(['', '1', '1:', '01:ab', '+1:ab', '1e0:ab', ' 1:ab', '-0:ab', ':ab', '3:ab', '99999999999:ab'])(
  'a second spelling of a pair, or none, is refused: %j',
  (rest) => {
    expect(() => readPair(`\u0000pair:${rest}`)).toThrow(MillraceError)
  },
)
