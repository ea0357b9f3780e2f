import { describe, expect, it } from 'vitest'
import type { EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { createEngine } from './fake.js'

const spec: EngineSpec = {
  dir: '/nowhere',
  dtype: 'q8',
  task: 'feature-extraction',
  output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: {},
}

engineConformance('fake', {
  createEngine,
  spec,
  maxTokens: 256,
  vocabulary: 30_000,
  tolerance: 0,
  pairs: true,
})

describe('the fake engine', () => {
  it('throws for the id it was told to throw for, and works on', async () => {
    const engine = createEngine({ ...spec, options: { throwId: 7 } })
    await engine.load()
    await expect(engine.run([{ ids: Int32Array.of(1, 7) }])).rejects.toThrow('told to throw')
    expect(await engine.run([{ ids: Int32Array.of(1) }])).toHaveLength(1)
  })

  it('can let company change an answer', async () => {
    const engine = createEngine({ ...spec, options: { companyChanges: true } })
    const short = { ids: Int32Array.of(1) }
    const [alone] = await engine.run([short])
    const [together] = await engine.run([short, { ids: Int32Array.of(1, 2, 3) }])
    expect(together).not.toEqual(alone)
  })
})
