/**
 * One ONNX session through transformers.js, with typed edges: the library's own types are `any` where it matters.
 * Every session option of Millrace is here.
 */
import { createRequire, Module } from 'node:module'
import { basename, join } from 'node:path'
import type { InferenceSession } from 'onnxruntime-common'
import type { EngineSpec } from '../engine.js'
import { deviceFault, thisMachine } from './device-fault.js'

export type Transformers = typeof import('@huggingface/transformers')

/** Tensors of one forward pass by the names that graphs have for them. */
export type Feeds = Readonly<
  Record<string, { readonly data: Float32Array | BigInt64Array; readonly dims: readonly number[] }>
>

/** The wanted output, whatever its shape; to be disposed after reading. */
export interface SessionOutput {
  readonly data: Float32Array
  readonly dims: readonly number[]
  /** The output beside it, where one was asked for. */
  readonly beside: Float32Array | undefined
  dispose(): void
}

export interface LoadedSession {
  /** What the graph does not ask for is left out. */
  run(feeds: Feeds): Promise<SessionOutput>
  dispose(): Promise<unknown>
}

/** @param options.images loads the image decoder too */
export function importTransformers({ images = false } = {}): Transformers {
  const transformers = images ? requireWhole() : requireTransformers()
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
      throw new Error('A text engine decodes no images')
    }
    standIn.loaded = true
    require.cache[sharp] ??= standIn
  } catch {
    // Not installed: nothing to save.
  }
  return require('@huggingface/transformers')
}

function requireWhole(): Transformers {
  return createRequire(import.meta.url)('@huggingface/transformers')
}

type Dtype = import('@huggingface/transformers').DataType

export interface WantedOutput {
  /** The library's class for this kind of model. */
  readonly head:
    | 'AutoModel'
    | 'AutoModelForSequenceClassification'
    | 'AutoModelForMaskedLM'
    | 'AutoModelForTokenClassification'
    | 'AutoModelForQuestionAnswering'
    | 'AutoModelForImageClassification'
    | 'AutoModelForObjectDetection'
    | 'AutoModelForCTC'
  /** Names it may have: the first that the model gives is taken. */
  readonly outputs: readonly string[]
  /** Another that is read with it. */
  readonly beside?: string
}

/** ONNX Runtime's default, named because a prepared file depends on it. */
export const graphOptimization = 'all'

function sessionOptions(threads: number) {
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
  } as const
}

type OnnxRuntime = typeof import('onnxruntime-common') & {
  /** Added by onnxruntime-node: what this build could use, installed or not. */
  listSupportedBackends(): { name: string }[]
}

/** The very copy that transformers.js loads: a saved file must suit its version. */
export function requireRuntime(): OnnxRuntime {
  return createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))(
    'onnxruntime-node',
  )
}

/** @returns a session on one graph of a model folder, without transformers.js around it */
export function openGraph(dir: string, file: string, threads: number): Promise<InferenceSession> {
  return requireRuntime().InferenceSession.create(join(dir, file), sessionOptions(threads))
}

/**
 * Saves a graph as ONNX Runtime has optimised it, its weights in `<to>.data`, from where processes map them. Keys:
 * onnxruntime_session_options_config_keys.h.
 * @throws Error when the graph cannot be loaded or the files not be written
 */
export async function saveOptimized(
  from: string,
  to: string,
  { threads, prepacked }: { threads: number; prepacked: boolean },
): Promise<void> {
  const { InferenceSession } = requireRuntime()
  const options = sessionOptions(threads)
  const session = await InferenceSession.create(from, {
    ...options,
    // It warns that the file suits this CPU only, which is why it is kept by what the CPU can do.
    logSeverityLevel: 3,
    optimizedModelFilePath: to,
    extra: {
      session: {
        ...options.extra.session,
        optimized_model_external_initializers_file_name: `${basename(to)}.data`,
        optimized_model_external_initializers_min_size_in_bytes: '1024',
        save_external_prepacked_constant_initializers: prepacked ? '1' : '0',
      },
    },
  })
  await session.release()
}

/** @throws Error when the model cannot be loaded on its device, and then says what the machine has */
export async function loadSession(
  transformers: Transformers,
  spec: EngineSpec,
  { head, outputs: names, beside }: WantedOutput,
): Promise<LoadedSession> {
  const { Tensor } = transformers
  const loading = transformers[head].from_pretrained(spec.prepared ?? spec.dir, {
    dtype: spec.dtype as Dtype,
    device: spec.device,
    local_files_only: true,
    session_options: sessionOptions(spec.threads),
    // What was prepared has its weights beside the graph, by a name in the graph, whatever config.json says.
    ...(spec.prepared === undefined ? {} : { use_external_data_format: false }),
  })
  const model = await loading.catch((error: unknown) => {
    if (spec.device === 'cpu') throw error
    const backends = requireRuntime().listSupportedBackends()
    const said = error instanceof Error ? error.message : String(error)
    throw deviceFault(spec.device, thisMachine(backends.map(({ name }) => name)), said)
  })
  const asked = new Set<string>(model.sessions.model?.inputNames ?? [])
  return {
    async run(feeds) {
      const inputs: Record<string, InstanceType<typeof Tensor>> = {}
      for (const [name, { data, dims }] of Object.entries(feeds)) {
        const type = data instanceof Float32Array ? 'float32' : 'int64'
        if (asked.has(name)) inputs[name] = new Tensor(type, data, [...dims])
      }
      const outputs: Record<string, InstanceType<typeof Tensor>> = await model(inputs)
      const name = names.find((one) => outputs[one])
      const output = name === undefined ? undefined : outputs[name]
      // Classes of the library name outputs that this model has not, and gather those they do not know in a list.
      const second = beside === undefined ? undefined : outputs[beside]
      for (const other of Object.values(outputs).flat()) {
        if (other !== output && other !== second) other?.dispose()
      }
      if (output === undefined) {
        throw new Error(`The model gives no ${names.join(' or ')}; its outputs are others`)
      }
      if (beside !== undefined && !(second?.data instanceof Float32Array)) {
        throw new Error(`The model gives no float32 ${beside}`)
      }
      if (!(output.data instanceof Float32Array)) {
        throw new Error(`The model's output is ${output.type}, not float32`)
      }
      const dispose = () => {
        output.dispose()
        second?.dispose()
      }
      return {
        data: output.data,
        dims: output.dims,
        beside: second?.data as Float32Array | undefined,
        dispose,
      }
    },
    dispose: () => model.dispose(),
  }
}
