import { expect, it } from 'vitest'
import type { PoolingMode } from './engine.js'
import { pool } from './pooling.js'

// Two items of 3 and 1 tokens, 2 dimensions; the padding holds values that must never be seen.
const states = Float32Array.of(1, -2, 3, 4, 5, -6, 7, 8, 999, 999, -999, -999)
const lengths = [3, 1]
const pooled = (mode: PoolingMode, normalize = false) =>
  pool(states, 3, 2, lengths, { mode, normalize }).map((vector) => Array.from(vector))

it.each<[PoolingMode, number[]]>([
  ['mean', [3, -4 / 3]],
  ['mean_sqrt_len', [9 / Math.sqrt(3), -4 / Math.sqrt(3)]],
  ['max', [5, 4]],
  ['cls', [1, -2]],
  ['lasttoken', [5, -6]],
])('%s reads the real tokens of each item only', (mode, first) => {
  const [a, b] = pooled(mode)
  expect(a?.[0]).toBeCloseTo(first[0] ?? Number.NaN, 6)
  expect(a?.[1]).toBeCloseTo(first[1] ?? Number.NaN, 6)
  expect(b).toEqual([7, 8])
})

it('a normalised vector has length 1', () => {
  for (const vector of pooled('mean', true)) expect(Math.hypot(...vector)).toBeCloseTo(1, 6)
})

it('a vector of zeros stays zeros instead of becoming not-a-number', () => {
  const [vector] = pool(new Float32Array(4), 2, 2, [2], { mode: 'mean', normalize: true })
  expect([...(vector ?? [])]).toEqual([0, 0])
})
