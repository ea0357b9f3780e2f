/** The fill-mask engine on its fixture, against what the Python reference wrote beside it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { scoredTokens } from '../candidates.js'
import type { EncodedItem, EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { createEngine } from './transformers-fill-mask.js'

const dir = fileURLToPath(new URL('../../../../models/fixtures/tiny-filler', import.meta.url))
const reference = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as {
  items: { input_ids: number[]; candidates: { token: number; score: number }[] }[]
}
const maskTokenId = 4
const spec: EngineSpec = {
  dir,
  dtype: 'fp32',
  task: 'fill-mask',
  output: { kind: 'candidates', maskTokenId, most: 20 },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: {},
}

engineConformance('transformers.js with the tiny-filler', {
  createEngine,
  spec,
  maxTokens: 64,
  vocabulary: 400,
  tolerance: 1e-5,
  pairs: true,
  firstId: maskTokenId,
})

async function run(one: EngineSpec, batch: readonly EncodedItem[]): Promise<Float32Array[]> {
  const engine = createEngine(one)
  try {
    await engine.load()
    return await engine.run(batch)
  } finally {
    await engine.close()
  }
}

describe('the fill-mask engine', () => {
  it('gives the reference’s candidates with their scores, all texts in one batch', async () => {
    const batch = reference.items.map(({ input_ids }) => ({ ids: Int32Array.from(input_ids) }))
    const found = await run(spec, batch)
    for (const [place, { candidates }] of reference.items.entries()) {
      const scored = scoredTokens(found[place] ?? Float32Array.of())
      expect(scored.map(({ token }) => token)).toEqual(candidates.map(({ token }) => token))
      for (const [at, { score }] of candidates.entries()) {
        expect(Math.abs((scored[at]?.score ?? Number.NaN) - score)).toBeLessThan(1e-4)
      }
    }
  })

  it('gives fewer candidates where the rule asks for fewer', async () => {
    const [vector] = await run({ ...spec, output: { kind: 'candidates', maskTokenId, most: 3 } }, [
      { ids: Int32Array.of(2, maskTokenId, 3) },
    ])
    expect(vector).toHaveLength(6)
  })

  it('refuses an item without a mask, and to run before it is loaded', async () => {
    await expect(run(spec, [{ ids: Int32Array.of(2, 3) }])).rejects.toThrow('no mask')
    await expect(createEngine(spec).run([{ ids: Int32Array.of(maskTokenId) }])).rejects.toThrow('not loaded')
  })

  it('refuses a model that is none', async () => {
    const classifier = fileURLToPath(new URL('../../../../models/fixtures/tiny-classifier', import.meta.url))
    await expect(run({ ...spec, dir: classifier }, [])).rejects.toThrow('shape')
  })
})
