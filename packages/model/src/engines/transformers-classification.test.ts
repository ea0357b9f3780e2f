/** The classification engine on the fixtures, against what the Python reference wrote beside them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Activation, activate } from '../activation.js'
import type { EncodedItem, EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { createEngine } from './transformers-classification.js'

const tolerated = 1e-4

function fixture(name: string, activation: Activation) {
  const dir = fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
  const spec: EngineSpec = {
    dir,
    dtype: 'fp32',
    task: 'text-classification',
    output: { kind: 'scores', activation },
    padTokenId: 0,
    device: 'cpu',
    threads: 1,
    options: {},
  }
  return { spec, reference: JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) }
}

async function run(spec: EngineSpec, batch: readonly EncodedItem[]): Promise<Float32Array[]> {
  const engine = createEngine(spec)
  await engine.load()
  try {
    return await engine.run(batch)
  } finally {
    await engine.close()
  }
}

function expectClose(found: Float32Array | undefined, wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length)
  for (const [place, value] of wanted.entries()) {
    expect(Math.abs((found?.[place] ?? Number.NaN) - value)).toBeLessThan(tolerated)
  }
}

for (const [name, activation] of [
  ['tiny-classifier', 'softmax'],
  ['tiny-reranker', 'none'],
] as const) {
  const { spec } = fixture(name, activation)
  const limits = { maxTokens: 64, vocabulary: 400, tolerance: 1e-5, pairs: true }
  engineConformance(`transformers.js with the ${name}`, { createEngine, spec, ...limits })
}

describe('a classifier', () => {
  const { spec, reference } = fixture('tiny-classifier', 'softmax')
  const batch = reference.items.map((item: { input_ids: number[] }) => ({
    ids: Int32Array.from(item.input_ids),
  }))

  it('gives the reference’s probabilities, all texts in one batch', async () => {
    const found = await run(spec, batch)
    for (const [place, { probabilities }] of reference.items.entries())
      expectClose(found[place], probabilities)
  })

  it.each([
    ['sigmoid', (logit: number) => 1 / (1 + Math.exp(-logit))],
    ['none', (logit: number) => logit],
  ] as const)('gives the reference’s logits with %s put on them', async (activation, put) => {
    const found = await run(fixture('tiny-classifier', activation).spec, batch)
    for (const [place, { logits }] of reference.items.entries()) expectClose(found[place], logits.map(put))
  })
})

describe('a cross-encoder', () => {
  it('gives the reference’s logit for every pair, all pairs in one batch', async () => {
    const { spec, reference } = fixture('tiny-reranker', 'none')
    const batch = reference.items.map((item: { input_ids: number[]; token_type_ids: number[] }) => ({
      ids: Int32Array.from(item.input_ids),
      typeOneFrom: item.token_type_ids.indexOf(1),
    }))
    const found = await run(spec, batch)
    for (const [place, { logit }] of reference.items.entries()) expectClose(found[place], [logit])
  })
})

describe('the classification engine', () => {
  const { spec } = fixture('tiny-classifier', 'softmax')

  it('refuses to run before it is loaded, and a batch with an empty item', async () => {
    await expect(createEngine(spec).run([{ ids: Int32Array.of(2, 3) }])).rejects.toThrow('not loaded')
    await expect(run(spec, [{ ids: Int32Array.of(2, 3) }, { ids: Int32Array.of() }])).rejects.toThrow(
      'no token',
    )
  })

  it('refuses a model that gives no logits', async () => {
    const dir = fileURLToPath(new URL('../../../../models/all-MiniLM-L6-v2', import.meta.url))
    await expect(createEngine({ ...spec, dir, dtype: 'q8' }).load()).rejects.toThrow('no logits')
  })
})

describe('softmax', () => {
  it('of very large logits is still a distribution', () => {
    expect([...activate(Float32Array.of(3000, 3000, -3000), 'softmax')]).toEqual([0.5, 0.5, 0])
  })
})
