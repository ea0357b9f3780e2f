/** The ONNX Runtime that transformers.js brings, and every session option of Millrace. Knows no model and no task. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Device } from '@millrace/contracts'
import type { InferenceSession } from 'onnxruntime-common'
import { deviceFault, thisMachine } from './device-fault.js'

export type OnnxRuntime = typeof import('onnxruntime-common') & {
  /** Added by onnxruntime-node: what this build could use, installed or not. */
  listSupportedBackends(): { name: string }[]
}

/** The very copy that transformers.js loads: a saved file must suit its version. */
export function onnxRuntime(): OnnxRuntime {
  const require = createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))
  return require('onnxruntime-node')
}

/** ONNX Runtime's default, named because a prepared file depends on it. */
export const graphOptimization = 'all'

export function sessionOptions(threads: number) {
  return {
    graphOptimizationLevel: graphOptimization,
    // The arena keeps the memory of the largest batch ever run (240 MB after 24 x 256 tokens, measured) and the
    // pattern one plan per shape, where every batch has another shape.
    enableCpuMemArena: false,
    enableMemPattern: false,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    // Values must be strings. Waiting threads sleep: they share the machine with other processes.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    // What goes wrong is thrown. Warnings are about the graph, and nobody here could act on them.
    logSeverityLevel: 3,
  } as const
}

/**
 * @returns a session on one graph of a model folder; weights kept in files beside it are found by their names in the graph
 * @throws Error when it cannot be loaded on its device, and then says what the machine has
 */
export async function openGraph(
  dir: string,
  file: string,
  { threads, device }: { readonly threads: number; readonly device: Device },
  runtime: OnnxRuntime = onnxRuntime(),
): Promise<InferenceSession> {
  const options = { ...sessionOptions(threads), executionProviders: [device] }
  try {
    return await runtime.InferenceSession.create(join(dir, file), options)
  } catch (error) {
    if (device === 'cpu') throw error
    const backends = runtime.listSupportedBackends()
    const said = error instanceof Error ? error.message : String(error)
    throw deviceFault(device, thisMachine(backends.map(({ name }) => name)), said)
  }
}
