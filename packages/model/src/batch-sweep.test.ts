import { describe, expect, it } from 'vitest'
import { type AreaSpeed, kneeOf, sweepAreas } from './batch-sweep.js'

/** A machine whose clock moves by what a pass costs: a fixed part and a part per token, in milliseconds. */
async function sweep(cost: {
  pass: number
  perToken: number
  noise?: (pass: number) => number
  maxArea?: number
  maxItems?: number
}): Promise<{ speeds: AreaSpeed[]; tookMs: number }> {
  let clock = 0
  let passes = 0
  const speeds = await sweepAreas({
    run: async (items) => {
      const { pass, perToken, noise = () => 1 } = cost
      clock += (pass + items * 32 * perToken) * noise(passes++)
    },
    itemTokens: 32,
    maxItems: cost.maxItems ?? 1024,
    maxArea: cost.maxArea ?? 1024,
    budgetMs: 1500,
    now: () => clock,
  })
  return { speeds, tookMs: clock }
}

describe('the knee', () => {
  it.each([
    // A pass that costs as much as a few tokens, as the starter model's on one thread.
    { pass: 0.6, perToken: 0.2, area: 128 },
    // One that costs nothing beside its tokens: no batch pays.
    { pass: 0, perToken: 0.2, area: 32 },
    { pass: 3, perToken: 0.2, area: 512 },
    // A pass as dear as on a GPU: the largest is the best.
    { pass: 20, perToken: 0.001, area: 1024 },
  ])('of passes of $pass ms and $perToken ms per token is at $area tokens', async ({ area, ...cost }) => {
    expect(kneeOf((await sweep(cost)).speeds).area).toBe(area)
  })

  it('tells the throughput there', async () => {
    const { tokensPerS } = kneeOf((await sweep({ pass: 0, perToken: 0.5 })).speeds)
    expect(tokensPerS).toBeCloseTo(2000)
  })

  it('is not moved by passes that were disturbed now and then', async () => {
    const noise = (pass: number) => (pass % 7 === 3 ? 4 : 1)
    expect(kneeOf((await sweep({ pass: 0.6, perToken: 0.2, noise })).speeds).area).toBe(128)
  })

  it('is not told where the times of one batch differ too much', async () => {
    const noise = (pass: number) => 1 + ((pass * 7) % 5) / 5
    const { speeds } = await sweep({ pass: 0.6, perToken: 0.05, noise })
    expect(() => kneeOf(speeds)).toThrow(/too busy: times of the same batch differ by \d+ %/)
  })

  it('is not told of a model too slow for three sizes, and none is run on and on to find that out', async () => {
    const { speeds, tookMs } = await sweep({ pass: 0, perToken: 10 })
    expect(() => kneeOf(speeds)).toThrow(/too slow/)
    expect(tookMs).toBeLessThan(1500)
  })
})

describe('a sweep', () => {
  it.each([0.001, 0.02, 0.2, 0.5, 2, 5])('keeps to its time with %s ms per token', async (perToken) => {
    const { tookMs } = await sweep({ pass: 0.5, perToken, maxArea: 65_536, maxItems: 2048 })
    expect(tookMs).toBeLessThanOrEqual(1500)
  })

  it('that a stall made late ends soon after it', async () => {
    const stallMs = 40 * (0.6 + 0.5 * 512)
    const noise = (pass: number) => (pass === 4 ? 40 : 1)
    const { tookMs } = await sweep({ pass: 0.6, perToken: 0.5, noise })
    expect(tookMs).toBeLessThan(stallMs + 500)
  })

  it('passes neither the area nor the number of items', async () => {
    const areasOf = ({ speeds }: { speeds: AreaSpeed[] }) => speeds.map(({ area }) => area)
    const fast = { pass: 0.01, perToken: 0.001 }
    expect(areasOf(await sweep({ ...fast, maxArea: 200 }))).toEqual([32, 64, 128])
    expect(areasOf(await sweep({ ...fast, maxItems: 5 }))).toEqual([32, 64, 128])
  })

  it('repeats every size equally often', async () => {
    const { speeds } = await sweep({ pass: 0.6, perToken: 0.2 })
    const counts = new Set(speeds.map(({ repeats }) => repeats.length))
    expect(counts.size).toBe(1)
    expect([...counts][0]).toBeGreaterThanOrEqual(3)
  })
})
