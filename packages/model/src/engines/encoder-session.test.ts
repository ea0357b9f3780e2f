/** What the runtime is asked for; that encoders answer rightly is shown by the engines' own tests. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EngineSpec } from '../engine.js'
import { loadEncoder } from './encoder-session.js'
import { type OnnxRuntime, sessionOptions } from './transformers-session.js'

const spec: EngineSpec = {
  dir: '/models/mini',
  dtype: 'fp16',
  device: 'cpu',
  task: 'feature-extraction',
  output: { kind: 'pooled', pooling: { mode: 'mean', normalize: true } },
  padTokenId: 0,
  threads: 3,
  options: {},
}

/** @param fault that loading ends with, where it does */
function runtime(fault?: Error) {
  const calls: { file: string; options: Record<string, unknown> }[] = []
  const InferenceSession = {
    create: async (file: string, options: Record<string, unknown>) => {
      calls.push({ file, options })
      if (fault) throw fault
      return { inputNames: [], outputNames: ['x'], release: async () => {} }
    },
  }
  return { calls, library: { InferenceSession, Tensor: class {} } as unknown as OnnxRuntime }
}

describe('an encoder', () => {
  it.each(['cpu', 'cuda', 'webgpu'] as const)(
    'for the device %s is loaded on that device alone',
    async (device) => {
      const { calls, library } = runtime()
      await loadEncoder({ ...spec, device }, ['x'], library)
      expect(calls).toEqual([
        {
          file: join('/models/mini', 'onnx/model_fp16.onnx'),
          options: { ...sessionOptions(3), executionProviders: [device], logSeverityLevel: 3 },
        },
      ])
    },
  )

  it('is of the prepared file where there is one', async () => {
    const { calls, library } = runtime()
    await loadEncoder({ ...spec, prepared: '/data/prepared' }, ['x'], library)
    expect(calls.map(({ file }) => file)).toEqual([join('/data/prepared', 'onnx/model_fp16.onnx')])
  })

  it('that its device refuses says so, and what the machine has', async () => {
    const { library } = runtime(new Error('no such library'))
    await expect(loadEncoder({ ...spec, device: 'webgpu' }, ['x'], library)).rejects.toThrow(
      /^It cannot run on the device 'webgpu': no such library\. ONNX Runtime .* knows .*cpu/,
    )
  })

  it('that cannot be loaded on the CPU ends with the error of the runtime itself', async () => {
    const fault = new Error('no such file')
    await expect(loadEncoder(spec, ['x'], runtime(fault).library)).rejects.toBe(fault)
  })
})
