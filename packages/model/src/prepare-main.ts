/**
 * The child that prepares a model: has ONNX Runtime save its optimised graphs, each with the weights in a file beside it, and
 * proves that the saved model answers as the plain one does. Forked by prepare-model.ts, and gone afterwards: what
 * preparing takes in memory never belongs to a worker.
 */
import { copyFile, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CreateEngine, EncodedItem, EngineSpec } from './engine.js'
import { saveOptimized } from './engines/save-optimized.js'
import { findGraphs } from './model-files.js'
import { type FromPrepare, noteFile, type PreparedNote, type ToPrepare } from './prepare-messages.js'

/** Of a value of a vector, relative where that is above 1. */
const toleratedDifference = 1e-6
/** Characters of a fault that a person reads. */
const mostSaid = 240

process.on('disconnect', () => process.exit(0))
process.once('message', (order: ToPrepare) => {
  prepare(order).then(
    (unfit) => answer(unfit === undefined ? { type: 'done' } : { type: 'unfit', message: unfit }),
    (error: unknown) =>
      answer({ type: 'failed', message: error instanceof Error ? error.message : String(error) }),
  )
})

function answer(message: FromPrepare): void {
  process.send?.(message, () => process.exit(0))
}

/** @returns why what was saved cannot stand for the plain files; undefined when it can */
async function prepare(order: ToPrepare): Promise<string | undefined> {
  const { engineModule, spec, probes, prepacked, into } = order
  const { createEngine }: { createEngine: CreateEngine } = await import(pathToFileURL(engineModule).href)
  // Kernels differ between one row and many.
  const batches = [...probes.map((item) => [item]), probes]
  const plain = await answersOf(createEngine, spec, batches)
  const graphs = await findGraphs(spec.dir, spec.dtype, spec.task)
  const folder = dirname(graphs[0] ?? '')
  await rm(into, { recursive: true, force: true })
  await mkdir(join(into, folder), { recursive: true })
  await copyFile(join(spec.dir, 'config.json'), join(into, 'config.json'))
  for (const file of graphs) {
    await saveOptimized(join(spec.dir, file), join(into, file), { threads: spec.threads, prepacked })
  }
  const fault = await faultOf(createEngine, { ...spec, prepared: into }, batches, plain)
  if (fault === undefined) await finish(into, folder, prepacked)
  return fault
}

/** Why what was saved cannot stand for the plain files; undefined when it can. */
async function faultOf(
  create: CreateEngine,
  spec: EngineSpec,
  batches: readonly (readonly EncodedItem[])[],
  plain: readonly number[],
): Promise<string | undefined> {
  try {
    const difference = largestDifference(plain, await answersOf(create, spec, batches))
    return difference <= toleratedDifference ? undefined : `its answers differ by ${difference}`
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    // ONNX Runtime lists all inputs and outputs of a node; the reason stands behind them.
    return said.length > mostSaid ? `${said.slice(0, mostSaid / 2)} ... ${said.slice(-mostSaid / 2)}` : said
  }
}

async function answersOf(
  create: CreateEngine,
  spec: EngineSpec,
  batches: readonly (readonly EncodedItem[])[],
): Promise<number[]> {
  const engine = create(spec)
  try {
    await engine.load()
    const answers: number[] = []
    for (const batch of batches) for (const vector of await engine.run(batch)) answers.push(...vector)
    return answers
  } finally {
    await engine.close()
  }
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  return a.reduce((most, value, place) => {
    const difference = Math.abs(value - (b[place] ?? 0)) / Math.max(1, Math.abs(value))
    return Math.max(most, difference)
  }, 0)
}

/** Every byte is on disk before the note that vouches for it, and that before the folder gets its name. */
async function finish(into: string, folder: string, prepacked: boolean): Promise<void> {
  const names = ['config.json', ...(await readdir(join(into, folder))).map((name) => `${folder}/${name}`)]
  const files: Record<string, number> = {}
  for (const name of names) files[name] = await synced(join(into, name))
  const note: PreparedNote = { prepacked, files }
  await writeFile(join(into, noteFile), `${JSON.stringify(note, null, 2)}\n`, { flush: true })
}

/** @returns its size in bytes */
async function synced(path: string): Promise<number> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
    return (await file.stat()).size
  } finally {
    await file.close()
  }
}
