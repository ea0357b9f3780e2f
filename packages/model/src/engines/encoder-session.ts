/**
 * One encoder's graph in the ONNX Runtime that transformers.js brings, without transformers.js: of the library an encoder
 * needs no more than the name of the file and the inputs that its graph knows, and not loading it saves each model process
 * 10 to 15 MB that it shares with nobody.
 */
import { join } from 'node:path'
import type { EngineSpec } from '../engine.js'
import { onnxFileOf } from '../model-files.js'
import {
  type LoadedSession,
  loadedOn,
  type OnnxRuntime,
  onnxRuntime,
  sessionOptions,
} from './transformers-session.js'

/**
 * @param outputs names the wanted output may have: the first that the graph has is taken, and no other is computed
 * @throws Error when the graph cannot be loaded on its device, see `loadedOn`, or has none of these outputs
 */
export async function loadEncoder(
  spec: EngineSpec,
  outputs: readonly string[],
  { InferenceSession, Tensor }: Pick<OnnxRuntime, 'InferenceSession' | 'Tensor'> = onnxRuntime(),
): Promise<LoadedSession> {
  // What was prepared has its weights beside the graph, by a name in the graph; so has what came in several files.
  const loading = InferenceSession.create(join(spec.prepared ?? spec.dir, onnxFileOf(spec.dtype)), {
    ...sessionOptions(spec.threads),
    executionProviders: [spec.device],
    // What goes wrong is thrown. Warnings are about the graph, and nobody here could act on them.
    logSeverityLevel: 3,
  })
  const session = await loadedOn(spec.device, loading)
  const known = new Set(session.inputNames)
  const name = outputs.find((one) => session.outputNames.includes(one))
  if (name === undefined) {
    const others = session.outputNames.join(', ')
    await session.release()
    throw new Error(`The model gives no ${outputs.join(' or ')}, but ${others}`)
  }
  return {
    async run({ ids, mask, types, dims }) {
      const inputs = Object.entries({ input_ids: ids, attention_mask: mask, token_type_ids: types })
      const feeds = inputs
        .filter(([input]) => known.has(input))
        .map(([input, values]) => [input, new Tensor('int64', values, dims)])
      const { [name]: output } = await session.run(Object.fromEntries(feeds), [name])
      if (!(output?.data instanceof Float32Array)) {
        throw new Error(`The model's output is ${output?.type ?? 'missing'}, not float32`)
      }
      return { data: output.data, dims: output.dims, dispose: () => output.dispose() }
    },
    dispose: () => session.release(),
  }
}
