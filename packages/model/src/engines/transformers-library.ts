/** transformers.js, for what of it we use beside its models: it prepares images and sounds. */
import { createRequire } from 'node:module'

export type Transformers = typeof import('@huggingface/transformers')

/** Its CommonJS build, which the image decoder's own copy of sharp belongs to as well. It must neither fetch nor keep anything. */
export function transformersLibrary(): Transformers {
  const transformers: Transformers = createRequire(import.meta.url)('@huggingface/transformers')
  transformers.env.allowRemoteModels = false
  transformers.env.useFSCache = false
  transformers.env.useWasmCache = false
  // It warns of recordings that are longer than a window, which we cut ourselves.
  transformers.env.logLevel = transformers.LogLevel.NONE
  return transformers
}
