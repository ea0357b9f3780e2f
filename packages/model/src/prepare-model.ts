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
import type { EncodedItem, EngineSpec } from './engine.js'
import { graphOptimization } from './engines/onnx-runtime.js'
import type { KnownFiles } from './known-files.js'
import { oneWriter } from './one-writer.js'
import { type FromPrepare, noteFile, type PreparedNote, type ToPrepare } from './prepare-messages.js'
import { cpuTraits, preparedKey, runtimeVersion } from './prepared-key.js'
import { readUnfit, unfitWords, writeUnfit } from './unfit-note.js'

export interface PrepareModelOptions {
  readonly engineModule: string
  readonly spec: EngineSpec
  /** Inputs of its task. */
  readonly probes: readonly EncodedItem[]
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
  const { engineModule, spec, probes, files, dataDir, limitMs } = options
  const runtime = await runtimeVersion()
  const key = preparedKey({
    files: files.digests,
    dtype: spec.dtype,
    engine: basename(engineModule),
    runtime,
    platform: `${process.platform}-${process.arch}`,
    cpu: await cpuTraits(),
    optimization: graphOptimization,
  })
  const parent = resolve(dataDir, 'prepared')
  const dir = join(parent, key)
  const known = await readPrepared(dir)
  if (known !== undefined) return { ...known, found: true }
  await throwIfUnfit(dir)
  await mkdir(parent, { recursive: true })
  let written = false
  await oneWriter(`${dir}.lock`, {
    waitMs: limitMs,
    done: async () => (await readPrepared(dir)) !== undefined || (await readUnfit(dir)) !== undefined,
    work: async () => {
      const unfit = await write(dir, { engineModule, spec, probes }, limitMs, files)
      if (unfit === undefined) written = true
      else await writeUnfit(dir, { why: unfit, runtime, foundAt: new Date().toISOString() })
    },
  })
  const prepared = await readPrepared(dir)
  if (prepared === undefined) await throwIfUnfit(dir)
  if (prepared === undefined) throw new Error(`The prepared files in ${dir} are not complete`)
  return { ...prepared, found: !written }
}

async function throwIfUnfit(dir: string): Promise<void> {
  const unfit = await readUnfit(dir)
  if (unfit !== undefined) throw new Error(unfitWords(dir, unfit))
}

/** @returns why it cannot be prepared with this runtime on this CPU; undefined when it is */
async function write(
  dir: string,
  order: Omit<ToPrepare, 'into' | 'prepacked'>,
  limitMs: number,
  files: PrepareModelOptions['files'],
): Promise<string | undefined> {
  const into = `${dir}.${randomUUID()}.tmp`
  try {
    await removeAbandoned(dir)
    await mkdir(into)
    const unfit = await prepareEither({ ...order, into }, limitMs)
    // Its name says which files it was made of; so does the name of a verdict.
    await files.assertUnchanged()
    if (unfit !== undefined) return unfit
    // Looked at once more: a writer whose lock was taken away while it stood still may be done now.
    if ((await readPrepared(dir)) !== undefined) return undefined
    await rm(dir, { recursive: true, force: true })
    await rename(into, dir)
    await syncFolder(dirname(dir))
    return undefined
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

/**
 * Weights packed ahead are tried first, they are shared most. ONNX Runtime 1.30 has crashed on some, so each try is a child's,
 * and no saved file is trusted before it has answered.
 * @returns why the model cannot be prepared; undefined when it is
 */
async function prepareEither(
  order: Omit<ToPrepare, 'prepacked'>,
  limitMs: number,
): Promise<string | undefined> {
  const faults: string[] = []
  const endsAtMs = performance.now() + limitMs
  for (const prepacked of [true, false]) {
    const fault = await runChild({ ...order, prepacked }, endsAtMs - performance.now())
    if (fault === undefined) return undefined
    faults.push(`${prepacked ? 'with' : 'without'} packed weights ${fault}`)
  }
  return `What was saved of it is not the same model: ${faults.join('; ')}.`
}

/** What a fault of native code ends a process with. */
const crashes: readonly (string | null)[] = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE']

/** @returns what is wrong with what was saved; undefined where nothing is */
async function runChild(order: ToPrepare, limitMs: number): Promise<string | undefined> {
  const entry = createRequire(import.meta.url).resolve('@millrace/model/prepare')
  const child = fork(entry, [], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    env: childEnvironment(),
    execArgv: [],
  })
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2000)
  })
  let limit: NodeJS.Timeout | undefined
  try {
    return await new Promise((done, reject) => {
      limit = setTimeout(() => reject(new Error('It was not prepared in time')), limitMs)
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        if (crashes.includes(signal)) done(`it ended with ${signal}`)
        else reject(new Error(`It ended with ${signal ?? code}. ${output}`.trim()))
      })
      child.on('message', (message: FromPrepare) => {
        if (message.type === 'failed') reject(new Error(message.message))
        else done(message.type === 'unfit' ? message.message : undefined)
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
