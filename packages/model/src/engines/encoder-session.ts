/**
 * One encoder's graph in the ONNX Runtime that transformers.js brings, without transformers.js: of the library an encoder
 * needs no more than the name of the file and the inputs that its graph knows, and not loading it saves each model process
 * 10 to 15 MB that it shares with nobody.
 */
import type { Tensor, TensorConstructor } from 'onnxruntime-common'
import type { EngineSpec } from '../engine.js'
import { onnxFileOf } from '../model-files.js'
import { type OnnxRuntime, onnxRuntime, openGraph } from './onnx-runtime.js'

export interface WantedOutput {
  /** Names it may have: the first that the model has is taken, and no other is computed. */
  readonly outputs: readonly string[]
  /** Another that is read with it. */
  readonly beside?: string
}

/** The wanted output, whatever its shape; to be disposed after reading. */
export interface SessionOutput {
  readonly data: Float32Array
  readonly dims: readonly number[]
  /** The output beside it, where one was asked for. */
  readonly beside: Float32Array | undefined
  dispose(): void
}

/** Tensors of one forward pass by the names that graphs have for them. */
export type Feeds = Readonly<
  Record<string, { readonly data: Float32Array | BigInt64Array; readonly dims: readonly number[] }>
>

export interface LoadedSession {
  /** What the graph does not ask for is left out. */
  run(feeds: Feeds): Promise<SessionOutput>
  dispose(): Promise<unknown>
}

/** @throws Error when the graph cannot be loaded on its device, see `openGraph`, or has not what is wanted */
export async function loadEncoder(
  { dir, prepared, dtype, threads, device }: EngineSpec,
  { outputs, beside }: WantedOutput,
  runtime: OnnxRuntime = onnxRuntime(),
): Promise<LoadedSession> {
  const { Tensor } = runtime
  const session = await openGraph(prepared ?? dir, onnxFileOf(dtype), { threads, device }, runtime)
  const { inputNames, outputNames } = session
  const name = outputs.find((one) => outputNames.includes(one))
  if (name === undefined || (beside !== undefined && !outputNames.includes(beside))) {
    await session.release()
    const wanted = name === undefined ? outputs.join(' or ') : beside
    throw new Error(`The model gives no ${wanted}, but ${outputNames.join(', ')}`)
  }
  const fetched = beside === undefined ? [name] : [name, beside]
  return {
    async run(feeds) {
      const given = await session.run(tensorsOf(feeds, inputNames, Tensor), fetched)
      const [output, second] = fetched.map((one) => given[one])
      if (!(output?.data instanceof Float32Array)) {
        throw new Error(`The model's ${name} is ${output?.type ?? 'missing'}, not float32`)
      }
      if (beside !== undefined && !(second?.data instanceof Float32Array)) {
        throw new Error(`The model's ${beside} is ${second?.type ?? 'missing'}, not float32`)
      }
      return {
        data: output.data,
        dims: output.dims,
        beside: second?.data as Float32Array | undefined,
        dispose() {
          output.dispose()
          second?.dispose()
        },
      }
    },
    dispose: () => session.release(),
  }
}

/** @param names of the inputs that are wanted; the others are left out */
export function tensorsOf(
  feeds: Feeds,
  names: readonly string[],
  OnnxTensor: TensorConstructor,
): Record<string, Tensor> {
  const wanted = Object.entries(feeds).filter(([name]) => names.includes(name))
  return Object.fromEntries(
    wanted.map(([name, { data, dims }]) => [
      name,
      data instanceof Float32Array
        ? new OnnxTensor('float32', data, dims)
        : new OnnxTensor('int64', data, dims),
    ]),
  )
}
