/** The engine of logits on its fixtures: whose logits they are, how many, and what is refused. */
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { EncodedItem, EngineSpec, LogitsOf } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { createEngine } from './transformers-logits.js'

const specOf = (name: string, of: LogitsOf): EngineSpec => ({
  dir: fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url)),
  dtype: 'fp32',
  task: 'token-classification',
  output: { kind: 'logits', of },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: {},
})
const specs = {
  tokens: specOf('tiny-tagger', 'tokens'),
  ends: specOf('tiny-reader', 'ends'),
  sequence: specOf('tiny-entailer', 'sequence'),
}

for (const [of, spec] of Object.entries(specs)) {
  engineConformance(`transformers.js, logits of ${of}`, {
    createEngine,
    spec,
    maxTokens: 64,
    vocabulary: 400,
    tolerance: 1e-4,
    pairs: true,
    sequences: true,
  })
}

async function run(spec: EngineSpec, batch: readonly EncodedItem[]): Promise<Float32Array[]> {
  const engine = createEngine(spec)
  try {
    await engine.load()
    return await engine.run(batch)
  } finally {
    await engine.close()
  }
}

describe('the engine of logits', () => {
  const batch = [{ ids: Int32Array.of(2, 7, 3) }, { ids: Int32Array.of(2, 7, 9, 8, 3) }]

  it('gives as many as the tokens of an item have, whatever the batch is padded to', async () => {
    const lengths = async (spec: EngineSpec) => (await run(spec, batch)).map(({ length }) => length)
    expect(await lengths(specs.tokens)).toEqual([3 * 5, 5 * 5])
    expect(await lengths(specs.ends)).toEqual([3 * 2, 5 * 2])
    expect(await lengths(specs.sequence)).toEqual([3, 3])
  })

  it('computes more sequences than fit into one pass', async () => {
    const more = Array.from({ length: 100 }, (_, i) => ({
      ids: Int32Array.from({ length: 64 }, () => 5 + i),
    }))
    const [first = new Float32Array(), other] = await run(specs.sequence, [
      { ids: more[0]?.ids ?? Int32Array.of(), extra: { more } },
      more[99] ?? { ids: Int32Array.of(1) },
    ])
    expect(first).toHaveLength(3 * 101)
    expect(first.subarray(0, 3)).toEqual(first.subarray(3, 6))
    for (const [i, value] of first.subarray(-3).entries())
      expect(value).toBeCloseTo(other?.[i] ?? Number.NaN, 4)
  })

  it('refuses a model of another kind, to run before it is loaded, and another rule', async () => {
    await expect(run({ ...specs.ends, dir: specs.sequence.dir }, batch)).rejects.toThrow('start_logits')
    await expect(run({ ...specs.tokens, dir: specs.sequence.dir }, batch)).rejects.toThrow('shape')
    await expect(createEngine(specs.tokens).run(batch)).rejects.toThrow('not loaded')
    await expect(
      run({ ...specs.tokens, output: { kind: 'scores', activation: 'none' } }, batch),
    ).rejects.toThrow('whose')
  })
})
