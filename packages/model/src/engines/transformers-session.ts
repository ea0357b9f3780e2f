/**
 * One ONNX session through transformers.js, with typed edges: the library's own types are `any` where it matters.
 * Every session option of Millrace is here.
 */
import { createRequire, Module } from 'node:module'
import { basename } from 'node:path'
import type { EngineSpec } from '../engine.js'
import type { PaddedBatch } from '../padded-batch.js'
import { deviceFault, thisMachine } from './device-fault.js'
import type { ProcessedImage } from './image-processor.js'

export type Transformers = typeof import('@huggingface/transformers')

export interface SessionOutput {
  data: Float32Array
  dims: readonly number[]
  dispose(): void
}

export interface LoadedSession {
  /** @returns the wanted output, whatever its shape; to be disposed after reading */
  run(batch: PaddedBatch): Promise<SessionOutput>
  /** @param images all of one shape; @throws Error where they are not */
  runImages(images: readonly ProcessedImage[]): Promise<SessionOutput>
  /** Of one recording. */
  runSamples(samples: Float32Array): Promise<SessionOutput>
  /** @returns each of the wanted outputs in its order, undefined where the model has it not */
  runImageToAll(image: ProcessedImage): Promise<(SessionOutput | undefined)[]>
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
    | 'AutoModelForImageClassification'
    | 'AutoModelForObjectDetection'
    | 'AutoModelForCTC'
  /** Names it may have: the first that the model gives is taken. */
  readonly outputs: readonly string[]
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
function onnxRuntime(): OnnxRuntime {
  return createRequire(createRequire(import.meta.url).resolve('@huggingface/transformers'))(
    'onnxruntime-node',
  )
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
  const { InferenceSession } = onnxRuntime()
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
  { head, outputs: names }: WantedOutput,
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
    const backends = onnxRuntime().listSupportedBackends()
    const said = error instanceof Error ? error.message : String(error)
    throw deviceFault(spec.device, thisMachine(backends.map(({ name }) => name)), said)
  })
  const wanted = new Set<string>(model.sessions.model?.inputNames ?? [])
  type Tensors = Record<string, InstanceType<typeof Tensor>>
  const pick = async (inputs: Tensors, wanted: (outputs: Tensors) => readonly (string | undefined)[]) => {
    const outputs: Tensors = await model(inputs)
    const picked = wanted(outputs).map((name) => (name === undefined ? undefined : outputs[name]))
    // Classes of the library name outputs that this model has not, and gather those they do not know in a list.
    for (const other of Object.values(outputs).flat()) if (!picked.includes(other)) other?.dispose()
    return picked.map((tensor) => tensor && plain(tensor))
  }
  const plain = (tensor: InstanceType<typeof Tensor>): SessionOutput => {
    if (!(tensor.data instanceof Float32Array)) {
      throw new Error(`The model's output is ${tensor.type}, not float32`)
    }
    return { data: tensor.data, dims: tensor.dims, dispose: () => tensor.dispose() }
  }
  const outputOf = async (inputs: Tensors): Promise<SessionOutput> => {
    const [output] = await pick(inputs, (outputs) => [names.find((one) => outputs[one])])
    if (output === undefined) {
      throw new Error(`The model gives no ${names.join(' or ')}; its outputs are others`)
    }
    return output
  }
  return {
    run({ ids, mask, types, dims }) {
      const inputs: Tensors = { input_ids: new Tensor('int64', ids, dims) }
      if (wanted.has('attention_mask')) inputs.attention_mask = new Tensor('int64', mask, dims)
      if (wanted.has('token_type_ids')) inputs.token_type_ids = new Tensor('int64', types, dims)
      return outputOf(inputs)
    },
    runImages(images) {
      const [data, dims] = stacked(images)
      return outputOf({ pixel_values: new Tensor('float32', data, dims) })
    },
    runSamples(samples) {
      const dims = [1, samples.length]
      const inputs: Tensors = { input_values: new Tensor('float32', samples, dims) }
      if (wanted.has('attention_mask')) {
        inputs.attention_mask = new Tensor('int64', new BigInt64Array(samples.length).fill(1n), dims)
      }
      return outputOf(inputs)
    },
    runImageToAll(image) {
      const [data, dims] = stacked([image])
      const inputs: Tensors = { pixel_values: new Tensor('float32', data, dims) }
      // Nothing is padding: the whole image counts, at whatever size the mask has.
      if (wanted.has('pixel_mask')) {
        inputs.pixel_mask = new Tensor('int64', new BigInt64Array(64 * 64).fill(1n), [1, 64, 64])
      }
      return pick(inputs, () => names)
    },
    dispose: () => model.dispose(),
  }
}

/** @throws Error where their shapes differ */
export function stacked(images: readonly ProcessedImage[]): [Float32Array, number[]] {
  const dims = images[0]?.dims ?? []
  if (!images.every((image) => String(image.dims) === String(dims))) {
    throw new Error('The processor of the model gives images of different shapes')
  }
  const size = dims.reduce((product, dim) => product * dim, 1)
  const data = new Float32Array(images.length * size)
  for (const [place, image] of images.entries()) data.set(image.data, place * size)
  return [data, [images.length, ...dims]]
}
