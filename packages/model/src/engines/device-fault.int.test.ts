import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, vi } from 'vitest'
import { type LoadModelOptions, loadModel } from '../load-model.js'
import { deviceFault, type Machine, missingLibraries, thisMachine } from './device-fault.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const bare: Machine = {
  platform: 'linux x64',
  runtime: '1.30.0',
  backends: ['cpu', 'webgpu', 'cuda'],
  cudaProvider: undefined,
  missingLibraries: [],
  nvidiaDriver: false,
}

describe('a device that cannot be used', () => {
  it('is named with what the runtime said, what is missing and what to do', () => {
    const words = deviceFault('cuda', bare, 'Failed to load shared library.\n').message
    expect(words).toContain("cannot run on the device 'cuda': Failed to load shared library.")
    expect(words).toContain('ONNX Runtime 1.30.0 for linux x64 knows cpu, webgpu, cuda.')
    expect(words).toContain('No NVIDIA driver was found')
    expect(words).toContain('ONNXRUNTIME_NODE_INSTALL=true')
    expect(words).toContain('docs/devices.md')
    expect(words).not.toContain('Libraries are missing')
  })

  it('is told by the libraries it lacks where all else is there', () => {
    const installed = {
      ...bare,
      cudaProvider: '/x.so',
      nvidiaDriver: true,
      missingLibraries: ['libcudnn.so.9'],
    }
    const words = deviceFault('cuda', installed).message
    expect(words).toContain('Libraries are missing (CUDA 12 and cuDNN 9 have them): libcudnn.so.9.')
    expect(words).not.toContain('driver')
    expect(words).not.toContain('INSTALL')
  })

  it('that this build of the runtime does not know is no matter of installing', () => {
    const arm = { ...bare, platform: 'linux arm64', backends: ['cpu'] }
    for (const device of ['cuda', 'webgpu'] as const) {
      const words = deviceFault(device, arm).message
      expect(words).toContain('for linux arm64 knows cpu. Only on another kind of machine')
      expect(words).not.toContain('INSTALL')
    }
  })

  it('of WebGPU says what the system has to have', () => {
    expect(deviceFault('webgpu', bare).message).toContain('libvulkan.so.1')
    expect(deviceFault('webgpu', { ...bare, platform: 'darwin arm64' }).message).not.toContain('vulkan')
  })

  it('lacks what ldd does not find, and nothing else', () => {
    const output = [
      '\tlinux-vdso.so.1 (0x00007ffc)',
      '\tlibcublasLt.so.12 => not found',
      '\tlibc.so.6 => /lib/libc.so.6 (0x00007f)',
      '\tlibcudnn.so.9 => not found',
    ].join('\n')
    expect(missingLibraries(output)).toEqual(['libcublasLt.so.12', 'libcudnn.so.9'])
    expect(missingLibraries('not a dynamic executable')).toEqual([])
  })
})

// Where such a device may really be, nothing is claimed.
const noCuda = process.platform === 'linux' && thisMachine([]).cudaProvider === undefined
const noWebgpu = process.platform === 'linux' && !existsSync('/dev/dri') && !existsSync('/dev/nvidiactl')

describe('on a machine without one', () => {
  it.skipIf(!noCuda)('a model for CUDA does not start, and the error says whose model and why', async () => {
    await expect(load('cuda')).rejects.toThrow(
      /^The model 'mini' is to run on 'cuda' \(`device` in millrace.json, or MODEL_DEVICE\)\..* knows .*cpu.*not installed/s,
    )
  })

  it.skipIf(!noCuda)('models of images and speech do not start either', async () => {
    for (const model of media) {
      await expect(load('cuda', model)).rejects.toThrow(
        /^The model 'mini' is to run on 'cuda'.*not installed/s,
      )
    }
  })

  it.skipIf(!noWebgpu)('a model for WebGPU does not start, and never runs on the CPU instead', async () => {
    await expect(load('webgpu')).rejects.toThrow(/^The model 'mini' is to run on 'webgpu'.*WebGPU/s)
  })
})

type Model = Pick<LoadModelOptions, 'task' | 'dtype'> & { folder: string }
const mini: Model = { folder: 'all-MiniLM-L6-v2', task: 'feature-extraction', dtype: 'q8' }
const media: Model[] = [
  { folder: 'fixtures/tiny-vit', task: 'image-feature-extraction', dtype: 'fp32' },
  { folder: 'fixtures/tiny-yolos', task: 'object-detection', dtype: 'fp32' },
  { folder: 'fixtures/tiny-wav2vec2', task: 'automatic-speech-recognition', dtype: 'fp32' },
]

function load(device: 'cuda' | 'webgpu', { folder, ...model }: Model = mini) {
  return loadModel({
    alias: 'mini',
    ...model,
    device,
    dir: fileURLToPath(new URL(`../../../../models/${folder}`, import.meta.url)),
    dataDir: '/nowhere',
    mappedWeights: true,
    processes: 1,
    threads: 1,
    batchTimeoutMs: 10_000,
    strictBatching: false,
    on: (event) => {
      if (event.type.startsWith('weights')) throw new Error('weights on a GPU are not mapped')
    },
  })
}
