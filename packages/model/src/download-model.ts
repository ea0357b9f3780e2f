/**
 * A hub model, on disk: fetched by a child (download-main.ts) into `<dataDir>/models/<id>/<revision>`, once. A note
 * written last says that all files of a dtype are there; with it nothing touches the network. Every file is written
 * under another name first and then renamed, so workers that download at the same time do not disturb each other.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { Task } from '@millrace/contracts'
import { childEnvironment } from './child-environment.js'
import type { FromDownload, ToDownload } from './download-messages.js'
import type { ModelEvent } from './events.js'
import { hasOwnFiles } from './model-files.js'

export interface DownloadOptions {
  /** `owner/name` */
  readonly id: string
  /** A commit: 40 hexadecimal digits. */
  readonly revision: string
  readonly dtype: string
  /** Decides which graphs and settings are fetched; of a model that reads texts by default. */
  readonly task?: Task
  readonly dataDir: string
  readonly on?: (event: ModelEvent) => void
  /** Another hub; the library's default otherwise. */
  readonly remoteHost?: string
  /** Asks the hub also where all is here: what it says now is what the files are held against. */
  readonly recheck?: boolean
  /** A download that does not move for this long is given up. */
  readonly stallMs?: number
}

const hubId = /^[\w.-]+\/[\w.-]+$/
const pinnedRevision = /^[0-9a-f]{40}$/

/**
 * @returns the folder
 * @throws Error that says which file could not be fetched and why
 */
export async function downloadModel(options: DownloadOptions): Promise<string> {
  const { id, revision, dtype } = options
  if (!hubId.test(id) || !pinnedRevision.test(revision)) {
    throw new Error(`'${id}' at '${revision}' is not a hub id with a pinned revision`)
  }
  const { cacheDir, dir, note } = placeOf(options)
  if (!options.recheck && (await readable(note))) return dir
  const order = { type: 'download' as const, id, revision, dtype, cacheDir, ...optional(options) }
  const { files } = await runChild(order, 'done', options).catch(async (error: unknown) => {
    if (error instanceof DownloadFailed && error.removed) await removeNotes(dir)
    throw error
  })
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

/** @returns the folder of a model that was downloaded before; undefined otherwise. Asks no hub. */
export async function downloadedModel(
  options: Pick<DownloadOptions, 'id' | 'revision' | 'dtype' | 'task' | 'dataDir'>,
): Promise<string | undefined> {
  const { dir, note } = placeOf(options)
  return (await readable(note)) ? dir : undefined
}

/** The note says that all files of this dtype, and of a task with files of its own, are there. */
function placeOf({
  id,
  revision,
  dtype,
  task,
  dataDir,
}: Pick<DownloadOptions, 'id' | 'revision' | 'dtype' | 'task' | 'dataDir'>) {
  const cacheDir = resolve(dataDir, 'models')
  const dir = join(cacheDir, id, revision)
  const own = task !== undefined && hasOwnFiles(task) ? `-${task}` : ''
  return { cacheDir, dir, note: join(dir, `complete-${dtype}${own}.json`) }
}

class DownloadFailed extends Error {
  override readonly name = 'DownloadFailed'
  readonly removed: boolean
  constructor(message: string, removed: boolean) {
    super(message)
    this.removed = removed
  }
}

/** What they say is not so any more, of no dtype: settings and tokenizer are shared. */
async function removeNotes(dir: string): Promise<void> {
  const notes = (await readdir(dir)).filter((name) => /^complete-.*\.json$/.test(name))
  for (const name of notes) await rm(join(dir, name), { force: true })
}

function optional({
  remoteHost,
  task,
}: Pick<DownloadOptions, 'remoteHost' | 'task'>): Pick<DownloadOptions, 'remoteHost' | 'task'> {
  return { ...(remoteHost === undefined ? {} : { remoteHost }), ...(task === undefined ? {} : { task }) }
}

/**
 * @param revision a branch or tag
 * @returns the commit that it is now, 40 hexadecimal digits; undefined where the hub does not say
 * @throws Error that says why the hub could not be asked
 */
export async function resolveRevision(
  options: Pick<DownloadOptions, 'id' | 'revision' | 'remoteHost' | 'stallMs'>,
): Promise<string | undefined> {
  const { id, revision } = options
  if (!hubId.test(id)) throw new Error(`'${id}' is not a hub id`)
  const { commit } = await runChild(
    { type: 'resolve', id, revision, ...optional(options) },
    'resolved',
    options,
  )
  return commit !== null && pinnedRevision.test(commit) ? commit : undefined
}

/** In a child of its own: the library stays out of the worker's memory, and a stuck transfer can be ended. */
async function runChild<Last extends FromDownload['type']>(
  order: ToDownload,
  last: Last,
  { on, stallMs = 60_000 }: Pick<DownloadOptions, 'on' | 'stallMs'>,
): Promise<Extract<FromDownload, { type: Last }>> {
  const entry = createRequire(import.meta.url).resolve('@millrace/model/download')
  const child = fork(entry, [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: childEnvironment(),
    execArgv: [],
  })
  const failed = (why: string, removed = false) =>
    new DownloadFailed(`The model ${order.id} at ${order.revision} cannot be downloaded: ${why}`, removed)
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2000)
  })
  let stalled: NodeJS.Timeout | undefined
  try {
    return await new Promise((resolve, reject) => {
      const watch = () => {
        clearTimeout(stalled)
        stalled = setTimeout(() => reject(failed(`nothing arrived for ${stallMs} ms`)), stallMs)
      }
      watch()
      child.on('error', (error) => reject(failed(error.message)))
      child.on('exit', (code, signal) => reject(failed(`it ended with ${signal ?? code}. ${output}`.trim())))
      child.on('message', (message: FromDownload) => {
        watch()
        if (isOf(message, last)) resolve(message)
        else if (message.type === 'failed') reject(failed(message.message, message.removed))
        else if (message.type === 'fetched')
          on?.({ type: 'download', file: message.file, bytes: message.bytes })
      })
      child.send(order, () => {})
    })
  } finally {
    clearTimeout(stalled)
    child.kill('SIGKILL')
  }
}

function isOf<Type extends FromDownload['type']>(
  message: FromDownload,
  type: Type,
): message is Extract<FromDownload, { type: Type }> {
  return message.type === type
}

async function readable(file: string): Promise<boolean> {
  return await readFile(file).then(
    () => true,
    () => false,
  )
}
