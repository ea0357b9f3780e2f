/**
 * transformers.js, for its processors of images and sounds: it reads local folders here and never the network. Texts are
 * read without it.
 */
import { createRequire } from 'node:module'

export type Transformers = typeof import('@huggingface/transformers')

export function importTransformers(): Transformers {
  const transformers: Transformers = createRequire(import.meta.url)('@huggingface/transformers')
  transformers.env.allowRemoteModels = false
  transformers.env.useFSCache = false
  transformers.env.useWasmCache = false
  // Its error logs may hold inputs; the errors themselves are thrown.
  transformers.env.logLevel = transformers.LogLevel.NONE
  return transformers
}
