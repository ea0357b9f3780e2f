/** What the runtime is asked for; that encoders answer rightly is shown by the engines' own tests. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EngineSpec } from '../engine.js'
import { loadEncoder } from './encoder-session.js'
import { type OnnxRuntime, sessionOptions } from './onnx-runtime.js'

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
  let released = 0
  const calls: { file: string; options: Record<string, unknown> }[] = []
  const InferenceSession = {
    create: async (file: string, options: Record<string, unknown>) => {
      calls.push({ file, options })
      if (fault) throw fault
      return { inputNames: [], outputNames: ['x'], release: async () => void released++ }
    },
  }
  const listSupportedBackends = () => [{ name: 'cpu' }]
  return {
    calls,
    released: () => released,
    library: { InferenceSession, Tensor: class {}, listSupportedBackends } as unknown as OnnxRuntime,
  }
}

describe('an encoder', () => {
  it.each(['cpu', 'cuda', 'webgpu'] as const)(
    'for the device %s is loaded on that device alone',
    async (device) => {
      const { calls, library } = runtime()
      await loadEncoder({ ...spec, device }, { outputs: ['x'] }, library)
      expect(calls).toEqual([
        {
          file: join('/models/mini', 'onnx/model_fp16.onnx'),
          options: { ...sessionOptions(3), executionProviders: [device] },
        },
      ])
    },
  )

  it('is of the prepared file where there is one', async () => {
    const { calls, library } = runtime()
    await loadEncoder({ ...spec, prepared: '/data/prepared' }, { outputs: ['x'] }, library)
    expect(calls.map(({ file }) => file)).toEqual([join('/data/prepared', 'onnx/model_fp16.onnx')])
  })

  it('that has not what is wanted says what it has, and is let go', async () => {
    const { library, released } = runtime()
    await expect(loadEncoder(spec, { outputs: ['y', 'z'] }, library)).rejects.toThrow(
      'The model gives no y or z, but x',
    )
    await expect(loadEncoder(spec, { outputs: ['x'], beside: 'y' }, library)).rejects.toThrow(
      'The model gives no y, but x',
    )
    expect(released()).toBe(2)
  })

  it('that its device refuses says so, and what the machine has', async () => {
    const { library } = runtime(new Error('no such library'))
    await expect(loadEncoder({ ...spec, device: 'webgpu' }, { outputs: ['x'] }, library)).rejects.toThrow(
      /^It cannot run on the device 'webgpu': no such library\. ONNX Runtime .* knows .*cpu/,
    )
  })

  it('that cannot be loaded on the CPU ends with the error of the runtime itself', async () => {
    const fault = new Error('no such file')
    await expect(loadEncoder(spec, { outputs: ['x'] }, runtime(fault).library)).rejects.toBe(fault)
  })
})
