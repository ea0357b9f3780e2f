import fc from 'fast-check'
import { expect, test } from 'vitest'
import { groupChars, groupsOf } from './chunk-groups.js'

const moment = fc.array(fc.nat(2 * groupChars), { maxLength: 50 })
const groups = (chars: readonly number[], workers: number) => groupsOf(chars, workers, (one) => one)

test('every chunk travels once, in order', () => {
  fc.assert(
    fc.property(moment, fc.nat(8), (chars, workers) => {
      expect(groups(chars, workers).flat()).toEqual(chars)
    }),
  )
})

test('no group holds more than a batch’s worth, but for a chunk that alone is more', () => {
  fc.assert(
    fc.property(moment, fc.nat(8), (chars, workers) => {
      for (const group of groups(chars, workers)) {
        const held = group.reduce((sum, one) => sum + one, 0)
        expect(group.length === 1 || held <= groupChars).toBe(true)
      }
    }),
  )
})

test('there is work for every worker, where there are as many chunks', () => {
  fc.assert(
    fc.property(moment, fc.integer({ min: 1, max: 8 }), (chars, workers) => {
      const share = Math.ceil(chars.length / workers)
      for (const group of groups(chars, workers)) expect(group.length).toBeLessThanOrEqual(share)
    }),
  )
  expect(groups([1, 1], 2)).toEqual([[1], [1]])
  expect(groups([1, 1, 1, 1, 1], 2)).toEqual([
    [1, 1, 1],
    [1, 1],
  ])
})

test('where no worker is known, they travel together', () => {
  expect(groups([1, 1, 1], 0)).toEqual([[1, 1, 1]])
})
