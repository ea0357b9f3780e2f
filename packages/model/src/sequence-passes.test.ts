import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutInPasses } from './sequence-passes.js'

test('every sequence is in exactly one pass, and no pass of several is larger than allowed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 60 })),
      fc.integer({ min: 1, max: 200 }),
      (lengths, area) => {
        const passes = cutInPasses(lengths, area)
        expect(passes.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, place) => place))
        for (const pass of passes) {
          const longest = Math.max(...pass.map((place) => lengths[place] ?? 0))
          expect(pass.length === 1 || pass.length * longest <= area).toBe(true)
        }
      },
    ),
  )
})

test('sequences that fit share one pass', () => {
  expect(cutInPasses([5, 70, 3], 210)).toEqual([[2, 0, 1]])
  expect(cutInPasses([])).toEqual([])
})
