/**
 * The download child: fetches one model through transformers.js into its file cache. Loading the model here is what makes
 * the library fetch it, and proves that it loads. What the library does not know of (sentence-transformers' files) or
 * looks for in the wrong revision (tokenizers, 4.3.1) is fetched beside it. Forked by download-model.ts; ends with it.
 */
import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AutoConfig, AutoModel, type DataType, env, LogLevel } from '@huggingface/transformers'
import type { FromDownload, ToDownload } from './download-messages.js'
import { findModelFiles, settingsFiles } from './model-files.js'
import { readSentenceSettings } from './sentence-settings.js'

process.on('disconnect', () => process.exit(0))
process.on('message', async (order: ToDownload) => {
  try {
    await tell({ type: 'done', files: await download(order) })
  } catch (error) {
    await tell({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
})

async function download({ id, revision, dtype, task, cacheDir, remoteHost }: ToDownload): Promise<string[]> {
  env.allowLocalModels = false
  env.useWasmCache = false
  env.logLevel = LogLevel.ERROR
  if (remoteHost !== undefined) env.remoteHost = remoteHost
  const headers = rememberHeaders()
  const options = {
    revision,
    cache_dir: cacheDir,
    progress_callback: () => void tell({ type: 'progress' }),
  }
  await AutoConfig.from_pretrained(id, options)
  const dir = join(cacheDir, id, revision)
  const fetchInto = (file: string) => fetchOptional(urlOf(id, revision, file), join(dir, file), headers())
  for (const file of settingsFiles(task)) await fetchInto(file)
  const { poolingFile } = await readSentenceSettings(dir, { fetchMissing: fetchInto })
  const model = await AutoModel.from_pretrained(id, { ...options, dtype: dtype as DataType, device: 'cpu' })
  await model.dispose()
  const files = await findModelFiles(dir, dtype, { onnx: true, poolingFile, task })
  for (const file of files) await tell({ type: 'fetched', file, bytes: (await stat(join(dir, file))).size })
  return files
}

/** The library adds its own headers (a token for gated models); the few requests made here reuse them. */
function rememberHeaders(): () => Headers {
  const send = env.fetch
  let seen = new Headers()
  env.fetch = (input, init?: RequestInit) => {
    seen = new Headers(init?.headers)
    seen.delete('range')
    return send(input, init)
  }
  return () => seen
}

function urlOf(id: string, revision: string, file: string): URL {
  const path = env.remotePathTemplate.replaceAll('{model}', id).replaceAll('{revision}', revision)
  return new URL(posix.join(path, file), env.remoteHost)
}

/** A file that the hub does not have (404) is simply not there; anything else is a fault. */
async function fetchOptional(url: URL, target: string, headers: Headers): Promise<void> {
  const response = await fetch(url, { headers })
  await tell({ type: 'progress' })
  if (response.status === 404) {
    await response.body?.cancel()
    return
  }
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`)
  await mkdir(dirname(target), { recursive: true })
  const incoming = `${target}.tmp.${randomUUID()}`
  try {
    await pipeline(Readable.fromWeb(response.body), createWriteStream(incoming))
    await rename(incoming, target)
  } catch (error) {
    await rm(incoming, { force: true })
    throw error
  }
}

function tell(message: FromDownload): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve()
    else process.send(message, () => resolve())
  })
}
