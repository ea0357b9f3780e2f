/**
 * The download child: fetches one model through transformers.js into its file cache. Loading the model here is what makes
 * the library fetch it, and proves that it loads. What the library does not know of (sentence-transformers' files) or
 * looks for in the wrong revision (tokenizers, 4.3.1) is fetched beside it. Each file is then held against what the hub says of it.
 * Forked by download-model.ts; ends with it.
 */
import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForSeq2SeqLM,
  AutoModelForSpeechSeq2Seq,
  AutoModelForVision2Seq,
  type DataType,
  env,
  LogLevel,
} from '@huggingface/transformers'
import { isGeneration, type Task } from '@millrace/contracts'
import { chatTemplateFile } from '@millrace/tokenizer'
import type { DownloadOrder, FromDownload, ResolveOrder, ToDownload } from './download-messages.js'
import { digestOfHub, hasDigest } from './hub-digest.js'
import { findModelFiles, settingsFiles } from './model-files.js'
import { readSentenceSettings } from './sentence-settings.js'

process.on('disconnect', () => process.exit(0))
process.on('message', async (order: ToDownload) => {
  try {
    if (order.type === 'resolve') await tell({ type: 'resolved', commit: await resolveCommit(order) })
    else await tell({ type: 'done', files: await download(order) })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    await tell({ type: 'failed', message, removed: error instanceof WrongFile })
  }
})

/** A file is not what the hub has, and was removed. */
class WrongFile extends Error {
  override readonly name = 'WrongFile'
}

async function download(order: DownloadOrder): Promise<string[]> {
  const { id, revision, dtype, task, cacheDir } = order
  setUp(order)
  const headers = rememberHeaders()
  const options = {
    revision,
    cache_dir: cacheDir,
    progress_callback: () => void tell({ type: 'progress' }),
  }
  const { model_type: kind } = await AutoConfig.from_pretrained(id, options)
  const dir = join(cacheDir, id, revision)
  const fetchInto = (file: string) => fetchOptional(urlOf(id, revision, file), join(dir, file), headers())
  const writing = kind === 'whisper' || (task !== undefined && isGeneration(task))
  const others = writing ? ['generation_config.json', chatTemplateFile] : []
  for (const file of [...settingsFiles(task), ...others]) await fetchInto(file)
  const { poolingFile } = await readSentenceSettings(dir, { fetchMissing: fetchInto })
  const loadOptions = { ...options, dtype: dtype as DataType, device: 'cpu' } as const
  const model = await loadAny(id, kind === 'whisper' ? kind : task, loadOptions)
  await model.dispose()
  const wanted = { onnx: true, poolingFile, ...(task === undefined ? {} : { task }) }
  const files = await findModelFiles(dir, dtype, wanted)
  for (const file of files) await verify(urlOf(id, revision, file), join(dir, file), headers())
  for (const file of files) await tell({ type: 'fetched', file, bytes: (await stat(join(dir, file))).size })
  return files
}

function setUp({ remoteHost }: ToDownload): void {
  env.allowLocalModels = false
  env.useWasmCache = false
  env.logLevel = LogLevel.ERROR
  if (remoteHost !== undefined) env.remoteHost = remoteHost
}

/** The hub says with every file of which commit it is: `X-Repo-Commit`, as huggingface_hub reads it. */
async function resolveCommit(order: ResolveOrder): Promise<string | null> {
  setUp(order)
  env.useFSCache = false
  let commit: string | null = null
  const send = env.fetch
  env.fetch = async (input, init?: RequestInit) => {
    const response: Response = await send(input, init)
    commit ??= response.headers.get('x-repo-commit')
    return response
  }
  await AutoConfig.from_pretrained(order.id, { revision: order.revision })
  return commit
}

/**
 * A hub that does not say what a file should be, as some mirrors, is taken at its word.
 * @throws Error where the file is another; it is removed then
 */
async function verify(url: URL, file: string, headers: Headers): Promise<void> {
  const digest = digestOfHub(await headersOf(url, headers))
  await tell({ type: 'progress' })
  if (digest === undefined || (await hasDigest(file, digest))) return
  await rm(file, { force: true })
  throw new WrongFile(`${url} is not what arrived: its digest should be ${digest}. It was removed; try again`)
}

/** Redirects are followed on the hub itself only: what it knows of a file is not said by the store behind it. */
async function headersOf(url: URL, headers: Headers, left = 5): Promise<Headers> {
  const response = await fetch(url, { method: 'HEAD', redirect: 'manual', headers })
  const location = response.headers.get('location')
  const next = location === null ? undefined : new URL(location, url)
  const known = digestOfHub(response.headers) !== undefined
  if (known || next === undefined || next.origin !== url.origin || left === 0) return response.headers
  return headersOf(next, headers, left - 1)
}

/** The library's class decides which graphs it fetches. */
function loadAny(
  id: string,
  task: Task | 'whisper' | undefined,
  options: Parameters<typeof AutoModel.from_pretrained>[1],
): ReturnType<typeof AutoModel.from_pretrained> {
  switch (task) {
    case 'whisper':
      return AutoModelForSpeechSeq2Seq.from_pretrained(id, options)
    case 'image-to-text':
      return AutoModelForVision2Seq.from_pretrained(id, options)
    case 'summarization':
    case 'translation':
    case 'text2text-generation':
      return AutoModelForSeq2SeqLM.from_pretrained(id, options)
    case 'text-generation':
      // A decoder alone has its graph in `model`, or, of older exports, in `decoder_model_merged`.
      return AutoModelForCausalLM.from_pretrained(id, options).catch(() =>
        AutoModelForCausalLM.from_pretrained(id, { ...options, model_file_name: 'decoder_model_merged' }),
      )
    default:
      return AutoModel.from_pretrained(id, options)
  }
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
