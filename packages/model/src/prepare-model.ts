/**
 * A model's mapped weights, on disk: prepared once per model, runtime and CPU in `<dataDir>/prepared/<key>`, then the
 * same file is mapped by every model process. The folder gets its name by a rename when it is complete; half-written
 * ones are never looked at.
 */
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, resolve } from 'node:path'
import { childEnvironment } from './child-environment.js'
import type { EngineSpec } from './engine.js'
import { graphOptimization } from './engines/transformers-session.js'
import type { KnownFiles } from './known-files.js'
import { oneWriter } from './one-writer.js'
import { type FromPrepare, noteFile, type PreparedNote, type ToPrepare } from './prepare-messages.js'
import { cpuTraits, preparedKey, runtimeVersion } from './prepared-key.js'

export interface PrepareModelOptions {
  readonly engineModule: string
  readonly spec: EngineSpec
  /** Of the model. */
  readonly files: Pick<KnownFiles, 'digests' | 'assertUnchanged'>
  readonly dataDir: string
  /** Of preparing, and of waiting for another who prepares. */
  readonly limitMs: number
}

export interface PreparedModel {
  /** Holds config.json and onnx/ as a model folder does. */
  readonly dir: string
  /** Size of the files that are mapped. */
  readonly bytes: number
  /** Weights are packed ahead too; otherwise each process packs its own copy of some. */
  readonly prepacked: boolean
  /** It was there already. */
  readonly found: boolean
}

/** @throws Error when it cannot be prepared; the plain file then serves */
export async function prepareModel(options: PrepareModelOptions): Promise<PreparedModel> {
  const { engineModule, spec, files, dataDir, limitMs } = options
  const key = preparedKey({
    files: files.digests,
    dtype: spec.dtype,
    engine: basename(engineModule),
    runtime: await runtimeVersion(),
    platform: `${process.platform}-${process.arch}`,
    cpu: await cpuTraits(),
    optimization: graphOptimization,
  })
  const parent = resolve(dataDir, 'prepared')
  const dir = join(parent, key)
  const known = await readPrepared(dir)
  if (known !== undefined) return { ...known, found: true }
  await mkdir(parent, { recursive: true })
  let written = false
  await oneWriter(`${dir}.lock`, {
    waitMs: limitMs,
    done: async () => (await readPrepared(dir)) !== undefined,
    work: async () => {
      await write(dir, { engineModule, spec }, limitMs, files)
      written = true
    },
  })
  const prepared = await readPrepared(dir)
  if (prepared === undefined) throw new Error(`The prepared files in ${dir} are not complete`)
  return { ...prepared, found: !written }
}

async function write(
  dir: string,
  order: Omit<ToPrepare, 'into'>,
  limitMs: number,
  files: PrepareModelOptions['files'],
): Promise<void> {
  const into = `${dir}.${randomUUID()}.tmp`
  try {
    await removeAbandoned(dir)
    await mkdir(into)
    await runChild({ ...order, into }, limitMs)
    // Its name says which files it was made of.
    await files.assertUnchanged()
    // Looked at once more: a writer whose lock was taken away while it stood still may be done now.
    if ((await readPrepared(dir)) !== undefined) return
    await rm(dir, { recursive: true, force: true })
    await rename(into, dir)
    await syncFolder(dirname(dir))
  } finally {
    await rm(into, { recursive: true, force: true })
  }
}

/** What writers left behind that were killed: who holds the lock is the only one now. */
async function removeAbandoned(dir: string): Promise<void> {
  const entries = await readdir(dirname(dir))
  const abandoned = entries.filter((name) => name.startsWith(`${basename(dir)}.`) && name.endsWith('.tmp'))
  for (const name of abandoned) await rm(join(dirname(dir), name), { recursive: true, force: true })
}

async function runChild(order: ToPrepare, limitMs: number): Promise<void> {
  // Beside the model process, so that it is the built file also when this file runs from src (vitest).
  const entry = join(
    dirname(createRequire(import.meta.url).resolve('@millrace/model/model-process')),
    'prepare-main.js',
  )
  const child = fork(entry, [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: childEnvironment(),
    execArgv: [],
  })
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2000)
  })
  let limit: NodeJS.Timeout | undefined
  try {
    await new Promise<void>((done, reject) => {
      limit = setTimeout(() => reject(new Error(`It was not prepared within ${limitMs} ms`)), limitMs)
      child.on('error', reject)
      child.on('exit', (code, signal) =>
        reject(new Error(`It ended with ${signal ?? code}. ${output}`.trim())),
      )
      child.on('message', (message: FromPrepare) => {
        if (message.type === 'done') done()
        else reject(new Error(message.message))
      })
      child.send(order, () => {})
    })
  } finally {
    clearTimeout(limit)
    child.kill('SIGKILL')
  }
}

/** @returns undefined unless the folder is complete: a note, and every file as long as the note says */
async function readPrepared(dir: string): Promise<Omit<PreparedModel, 'found'> | undefined> {
  try {
    const note: PreparedNote = JSON.parse(await readFile(join(dir, noteFile), 'utf8'))
    let bytes = 0
    for (const [file, size] of Object.entries(note.files)) {
      if ((await stat(join(dir, file))).size !== size) return undefined
      if (file !== 'config.json') bytes += size
    }
    return { dir, bytes, prepacked: note.prepacked }
  } catch {
    return undefined
  }
}

/** A rename is only sure to last once its folder is on disk. Windows cannot open folders, and needs not. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}
