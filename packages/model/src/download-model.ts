/**
 * A hub model, on disk: fetched by a child (download-main.ts) into `<dataDir>/models/<id>/<revision>`, once. A note
 * written last says that all files of a dtype are there; with it nothing touches the network. Every file is written
 * under another name first and then renamed, so workers that download at the same time do not disturb each other.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { Task } from '@millrace/contracts'
import { childEnvironment } from './child-environment.js'
import type { FromDownload, ToDownload } from './download-messages.js'
import type { ModelEvent } from './events.js'

export interface DownloadOptions {
  /** `owner/name` */
  readonly id: string
  /** A commit: 40 hexadecimal digits. */
  readonly revision: string
  readonly dtype: string
  /** Default: feature-extraction. */
  readonly task?: Task
  readonly dataDir: string
  readonly on?: (event: ModelEvent) => void
  /** Another hub; the library's default otherwise. */
  readonly remoteHost?: string
  /** A download that does not move for this long is given up. */
  readonly stallMs?: number
}

/**
 * @returns the folder
 * @throws Error that says which file could not be fetched and why
 */
export async function downloadModel(options: DownloadOptions): Promise<string> {
  const { id, revision, dtype, task = 'feature-extraction' } = options
  if (!/^[\w.-]+\/[\w.-]+$/.test(id) || !/^[0-9a-f]{40}$/.test(revision)) {
    throw new Error(`'${id}' at '${revision}' is not a hub id with a pinned revision`)
  }
  const cacheDir = resolve(options.dataDir, 'models')
  const dir = join(cacheDir, id, revision)
  const note = join(dir, `complete-${dtype}.json`)
  if (await readable(note)) return dir
  const files = await runDownload(
    { type: 'download', id, revision, dtype, task, cacheDir, ...host(options) },
    options,
  )
  // Not the process id: in containers that share this folder every worker has the same one.
  const written = `${note}.${randomUUID()}.tmp`
  try {
    await writeFile(written, `${JSON.stringify({ id, revision, dtype, files }, null, 2)}\n`)
    await rename(written, note)
  } catch (error) {
    await rm(written, { force: true })
    throw error
  }
  return dir
}

function host({ remoteHost }: DownloadOptions): { remoteHost?: string } {
  return remoteHost === undefined ? {} : { remoteHost }
}

/** In a child of its own: the library stays out of the worker's memory, and a stuck transfer can be ended. */
async function runDownload(order: ToDownload, { on, stallMs = 60_000 }: DownloadOptions): Promise<string[]> {
  const entry = createRequire(import.meta.url).resolve('@millrace/model/download')
  const child = fork(entry, [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: childEnvironment(),
    execArgv: [],
  })
  const failed = (why: string) =>
    new Error(`The model ${order.id} at ${order.revision} cannot be downloaded: ${why}`)
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2000)
  })
  let stalled: NodeJS.Timeout | undefined
  try {
    return await new Promise<string[]>((resolve, reject) => {
      const watch = () => {
        clearTimeout(stalled)
        stalled = setTimeout(() => reject(failed(`nothing arrived for ${stallMs} ms`)), stallMs)
      }
      watch()
      child.on('error', (error) => reject(failed(error.message)))
      child.on('exit', (code, signal) => reject(failed(`it ended with ${signal ?? code}. ${output}`.trim())))
      child.on('message', (message: FromDownload) => {
        watch()
        if (message.type === 'done') resolve(message.files)
        if (message.type === 'failed') reject(failed(message.message))
        if (message.type === 'fetched') on?.({ type: 'download', file: message.file, bytes: message.bytes })
      })
      child.send(order, () => {})
    })
  } finally {
    clearTimeout(stalled)
    child.kill('SIGKILL')
  }
}

async function readable(file: string): Promise<boolean> {
  return await readFile(file).then(
    () => true,
    () => false,
  )
}
