/** What is drawn from, against the reference's warpers; and that a seed decides what is drawn. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Sampler, seededRandom, sharesOf } from './sampler.js'

const file = new URL('../../../../models/fixtures/tiny-writer/reference.json', import.meta.url)
const { warped } = JSON.parse(readFileSync(file, 'utf8')) as {
  warped: {
    logits: number[]
    params: { temperature?: number; top_k?: number; top_p?: number }
    shares: number[]
  }[]
}

describe('shares', () => {
  it.each(warped.map((one) => [JSON.stringify(one.params), one] as const))(
    'with %s are those of the reference',
    (_name, { logits, params, shares }) => {
      const { temperature = 1, top_k: topK = logits.length, top_p: topP = 1 } = params
      const found = sharesOf(Float32Array.from(logits), { temperature, topK, topP })
      const byId = logits.map((_, id) => found.find((one) => one.id === id)?.share ?? 0)
      for (const [id, share] of shares.entries()) expect(byId[id]).toBeCloseTo(share, 5)
      expect(byId.map((share) => share > 0)).toEqual(shares.map((share) => share > 0))
    },
  )

  it('what can never be written is never drawn, also where nearly all is so', () => {
    const logits = new Float32Array(9).fill(Number.NEGATIVE_INFINITY)
    logits[4] = -3
    expect(sharesOf(logits, { temperature: 1, topK: 5, topP: 0.9 })).toEqual([{ id: 4, share: 1 }])
  })
})

describe('a sampler', () => {
  const logits = Float32Array.of(0, 1, 2, Number.NEGATIVE_INFINITY)
  const draws = (seed: number, count: number) => {
    const sampler = new Sampler({ seed, temperature: 1, topK: 50, topP: 1 })
    return Array.from({ length: count }, () => sampler.draw(logits))
  }

  it('draws each token as often as its share says', () => {
    const drawn = draws(7, 20_000)
    const shares = sharesOf(logits, { temperature: 1, topK: 50, topP: 1 })
    for (const { id, share } of shares) {
      const found = drawn.filter((one) => one === id).length / drawn.length
      expect(Math.abs(found - share)).toBeLessThan(0.015)
    }
    expect(drawn).not.toContain(3)
  })

  it('draws the same from the same seed, another row from another', () => {
    expect(draws(1, 50)).toEqual(draws(1, 50))
    expect(draws(1, 50)).not.toEqual(draws(2, 50))
    expect(draws(2 ** 32 - 1, 50)).not.toEqual(draws(0, 50))
  })

  it('its random numbers lie from 0 to below 1', () => {
    const random = seededRandom(3)
    const numbers = Array.from({ length: 1000 }, random)
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...numbers)).toBeLessThan(1)
  })
})
