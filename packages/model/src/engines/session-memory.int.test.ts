/** What running leaves behind in a model process, for real: the arena and memory patterns would keep the largest batch. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it, vi } from 'vitest'
import { builtInEngine } from '../load-model.js'
import { ModelProcess } from '../model-process.js'
import { parsePrivateBytes } from '../private-memory.js'
import { sessionOptions } from './onnx-runtime.js'

// A process is forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 120_000 })

it('no session keeps an arena or a plan per shape', () => {
  expect(sessionOptions(1)).toMatchObject({ enableCpuMemArena: false, enableMemPattern: false })
})

it.runIf(process.platform === 'linux')(
  'a large batch and many small ones leave little behind in the process that ran them',
  async () => {
    const limits = { loadTimeoutMs: 50_000, batchTimeoutMs: 100_000 }
    const spec = {
      dir: fileURLToPath(new URL('../../../../models/all-MiniLM-L6-v2', import.meta.url)),
      dtype: 'q8',
      device: 'cpu',
      task: 'feature-extraction',
      output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
      padTokenId: 0,
      threads: 1,
      options: {},
    } as const
    const engineModule = builtInEngine('transformers-embedding')
    const model = await ModelProcess.start({ engineModule, spec, ...limits }, new AbortController().signal)
    const item = (length: number) => ({ ids: new Int32Array(length).fill(2000) })
    const own = () => parsePrivateBytes(readFileSync(`/proc/${model.pid}/smaps_rollup`, 'utf8')) ?? Number.NaN
    try {
      await model.run([item(5)])
      const before = own()
      await model.run(Array.from({ length: 12 }, () => item(250)))
      for (let batch = 0; batch < 20; batch++) await model.run([item(10 * (batch + 1))])
      const keptMb = (own() - before) / 2 ** 20
      // 8 to 20 measured; 118 with the arena.
      expect(keptMb).toBeLessThan(45)
    } finally {
      await model.stop(1000)
    }
  },
)
