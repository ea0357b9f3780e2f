import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { createEngine } from './transformers-embedding.js'

const spec: EngineSpec = {
  dir: fileURLToPath(new URL('../../../../models/all-MiniLM-L6-v2', import.meta.url)),
  dtype: 'q8',
  task: 'feature-extraction',
  output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: {},
}

engineConformance('transformers.js with the starter model', {
  createEngine,
  spec,
  maxTokens: 256,
  vocabulary: 30_000,
  tolerance: 1e-5,
})

describe('the transformers.js engine', () => {
  it('refuses to run before it is loaded', async () => {
    await expect(createEngine(spec).run([{ ids: Int32Array.of(101, 102) }])).rejects.toThrow('not loaded')
  })

  it('refuses an item without tokens instead of giving not-a-number', async () => {
    const engine = createEngine(spec)
    await engine.load()
    await expect(engine.run([{ ids: Int32Array.of(101, 102) }, { ids: Int32Array.of() }])).rejects.toThrow(
      'no token',
    )
    await engine.close()
  })

  it('never looks for a model on the network', async () => {
    await expect(createEngine({ ...spec, dir: '/nowhere/at/all' }).load()).rejects.toThrow()
    await expect(createEngine({ ...spec, dir: 'owner/name' }).load()).rejects.toThrow(/doesn't exist/)
  })
})
