/**
 * Why a model cannot run on the device it was told to: what was asked for, what this machine and its ONNX Runtime have,
 * what to do. There is no fallback to the CPU: whoever asked for a GPU would not notice that it is idle.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Device } from '@millrace/contracts'

/** What a machine has for running models. */
export interface Machine {
  /** `linux x64`. */
  readonly platform: string
  /** Version of ONNX Runtime. */
  readonly runtime: string
  /** What this build of ONNX Runtime could use, by its own word. */
  readonly backends: readonly string[]
  /** The CUDA part of ONNX Runtime, which its package does not bring along; undefined where it is not there. */
  readonly cudaProvider: string | undefined
  /** Libraries that the CUDA provider needs and this machine lacks. */
  readonly missingLibraries: readonly string[]
  readonly nvidiaDriver: boolean
}

const installCuda = 'ONNXRUNTIME_NODE_INSTALL=true node node_modules/onnxruntime-node/script/install.js'

/** @param cause what the runtime said */
export function deviceFault(device: Exclude<Device, 'cpu'>, machine: Machine, cause?: string): Error {
  const { runtime, platform, backends } = machine
  const words = [
    `It cannot run on the device '${device}'${cause === undefined ? '' : `: ${cause.trim().replace(/\.$/, '')}`}.`,
    `ONNX Runtime ${runtime} for ${platform} knows ${backends.join(', ')}.`,
  ]
  if (!backends.includes(device)) {
    words.push('Only on another kind of machine can it run there.')
  } else {
    words.push(...(device === 'cuda' ? cudaWords(machine) : webgpuWords(machine)))
  }
  words.push('See docs/devices.md.')
  return new Error(words.join(' '))
}

function cudaWords({ cudaProvider, missingLibraries, nvidiaDriver }: Machine): string[] {
  const words: string[] = []
  if (!nvidiaDriver) words.push('No NVIDIA driver was found (in a container: was a device reserved?).')
  if (cudaProvider === undefined) {
    words.push(`Its CUDA part is not installed: run \`${installCuda}\`.`)
  }
  if (missingLibraries.length > 0) {
    words.push(`Libraries are missing (CUDA 12 and cuDNN 9 have them): ${missingLibraries.join(', ')}.`)
  }
  return words
}

function webgpuWords({ platform }: Machine): string[] {
  return platform.startsWith('linux')
    ? ['WebGPU needs a GPU, its Vulkan driver and the library libvulkan.so.1.']
    : ['WebGPU needs a GPU and its driver.']
}

/** Reads what this machine has. @param backends as `listSupportedBackends` of the runtime names them */
export function thisMachine(backends: readonly string[]): Machine {
  const library = createRequire(import.meta.url).resolve('@huggingface/transformers')
  const manifest = createRequire(library).resolve('onnxruntime-node/package.json')
  const { version }: { version: string } = JSON.parse(readFileSync(manifest, 'utf8'))
  const cudaProvider = findCudaProvider(join(dirname(manifest), 'bin'))
  return {
    platform: `${process.platform} ${process.arch}`,
    runtime: version,
    backends,
    cudaProvider,
    missingLibraries: cudaProvider === undefined ? [] : missingLibraries(ldd(cudaProvider)),
    nvidiaDriver: ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'].some((path) =>
      existsSync(path),
    ),
  }
}

function findCudaProvider(bin: string): string | undefined {
  const file = join(process.platform, process.arch, 'libonnxruntime_providers_cuda.so')
  return readdirSync(bin)
    .map((abi) => join(bin, abi, file))
    .find((path) => existsSync(path))
}

function ldd(library: string): string {
  return spawnSync('ldd', [library], { encoding: 'utf8', timeout: 5000 }).stdout ?? ''
}

/** From lines like `libcudnn.so.9 => not found`. */
export function missingLibraries(lddOutput: string): string[] {
  return [...lddOutput.matchAll(/^\s*(\S+) => not found/gm)].map(([, name = '']) => name)
}
