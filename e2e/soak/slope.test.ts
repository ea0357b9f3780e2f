import { describe, expect, it } from 'vitest'
import { isFlat, memorySlope, type Reading } from './slope.js'

/** mulberry32: the same readings in every run. */
function noise(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32 - 0.5
  }
}

/** One reading each 3 s (15 s in a long row), with noise of ± `noiseMb` and a leak. */
function readings(seed: number, minutes: number, noiseMb: number, leakMbPerMin: number): Reading[] {
  const random = noise(seed)
  const perMinute = minutes > 10 ? 4 : 20
  return Array.from({ length: minutes * perMinute }, (_, place) => {
    const at = place / perMinute
    return { minutes: at, mb: 90 + at * leakMbPerMin + 2 * noiseMb * random() }
  })
}

const seeds = Array.from({ length: 50 }, (_, place) => place + 1)

describe('memory', () => {
  it('that only wavers is flat, however much it wavers', () => {
    for (const noiseMb of [0, 1, 10]) {
      expect(seeds.filter((seed) => !isFlat(readings(seed, 2, noiseMb, 0)))).toEqual([])
    }
  })

  it('that leaks 6 MB a minute is found within two minutes, under noise of 4 MB', () => {
    expect(seeds.filter((seed) => isFlat(readings(seed, 2, 4, 6)))).toEqual([])
  })

  it('that leaks 0.4 MB a minute is found within half an hour, under noise of 4 MB', () => {
    expect(seeds.filter((seed) => isFlat(readings(seed, 30, 4, 0.4)))).toEqual([])
  })

  it('that fills a cache and then stays is not told by a single jump or outlier', () => {
    const jumped = readings(1, 2, 1, 0).map((one, place) => (place === 20 ? { ...one, mb: 500 } : one))
    expect(isFlat(jumped)).toBe(true)
    expect(memorySlope(jumped).slope).toBeLessThan(0.5)
  })
})

it('too few readings are no proof', () => {
  expect(() => isFlat(readings(1, 2, 0, 0).slice(0, 9))).toThrow('too few')
})
