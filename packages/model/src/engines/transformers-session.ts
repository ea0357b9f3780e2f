/**
 * One ONNX session through transformers.js, with typed edges: the library's own types are `any` where it matters.
 * Every session option of Millrace is here.
 */
import { createRequire, Module } from 'node:module'
import type { EngineSpec } from '../engine.js'

type Transformers = typeof import('@huggingface/transformers')

export interface LoadedSession {
  /** @returns token vectors `[count, width, dimensions]`; to be disposed after reading */
  run(input: { ids: BigInt64Array; mask: BigInt64Array; dims: [number, number] }): Promise<{
    data: Float32Array
    dims: readonly number[]
    dispose(): void
  }>
  dispose(): Promise<unknown>
}

export function importTransformers(): Transformers {
  const transformers = requireTransformers()
  transformers.env.allowRemoteModels = false
  transformers.env.useFSCache = false
  transformers.env.useWasmCache = false
  // Its error logs hold the inputs of a failed batch; the errors themselves are thrown.
  transformers.env.logLevel = transformers.LogLevel.NONE
  return transformers
}

/**
 * The library loads its image decoder (sharp, libvips) whatever the model; texts need none. An empty stand-in in the
 * module cache saves 9 MB per process. Only this process is affected, and only the CommonJS build can be told so.
 */
function requireTransformers(): Transformers {
  const require = createRequire(import.meta.url)
  try {
    const sharp = createRequire(require.resolve('@huggingface/transformers')).resolve('sharp')
    const standIn = new Module(sharp)
    standIn.exports = () => {
      throw new Error('The embedding engine decodes no images')
    }
    standIn.loaded = true
    require.cache[sharp] ??= standIn
  } catch {
    // Not installed: nothing to save.
  }
  return require('@huggingface/transformers')
}

type Dtype = import('@huggingface/transformers').DataType

export async function loadSession(
  { AutoModel, Tensor }: Transformers,
  spec: EngineSpec,
): Promise<LoadedSession> {
  const model = await AutoModel.from_pretrained(spec.dir, {
    dtype: spec.dtype as Dtype,
    device: 'cpu',
    local_files_only: true,
    session_options: {
      // The arena keeps the memory of the largest batch ever run (240 MB after 24 x 256 tokens, measured) and the
      // pattern one plan per shape, where every batch has another shape.
      enableCpuMemArena: false,
      enableMemPattern: false,
      intraOpNumThreads: spec.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Values must be strings. Waiting threads sleep: they share the machine with other processes.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    },
  })
  const wanted = new Set<string>(model.sessions.model?.inputNames ?? [])
  return {
    async run({ ids, mask, dims }) {
      const inputs: Record<string, InstanceType<typeof Tensor>> = {
        input_ids: new Tensor('int64', ids, dims),
      }
      if (wanted.has('attention_mask')) inputs.attention_mask = new Tensor('int64', mask, dims)
      if (wanted.has('token_type_ids')) {
        inputs.token_type_ids = new Tensor('int64', new BigInt64Array(ids.length), dims)
      }
      const outputs: Record<string, InstanceType<typeof Tensor>> = await model(inputs)
      const states = outputs.last_hidden_state ?? outputs.token_embeddings
      for (const output of Object.values(outputs)) if (output !== states) output.dispose()
      if (states === undefined) {
        throw new Error(
          `The model gives no token vectors (last_hidden_state), only: ${Object.keys(outputs).join(', ')}`,
        )
      }
      if (!(states.data instanceof Float32Array)) {
        throw new Error(`The model's output is ${states.type}, not float32`)
      }
      return { data: states.data, dims: states.dims, dispose: () => states.dispose() }
    },
    dispose: () => model.dispose(),
  }
}
