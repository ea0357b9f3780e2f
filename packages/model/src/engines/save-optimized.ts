/** Has ONNX Runtime save its optimised graphs, for prepare-main.ts alone: what it takes to read a graph is no worker's to hold. */
import { basename } from 'node:path'
import { onnxRuntime, sessionOptions } from './onnx-runtime.js'
import { repairSaved } from './repair-saved.js'

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
  await repairSaved(to)
}
