/**
 * Starts model processes on the prepared file while that goes well, and on the plain one otherwise: mapped weights save
 * memory, and are never a reason not to serve. Says which of the two it is.
 */
import { dirname } from 'node:path'
import type { EngineSpec } from './engine.js'
import type { ModelEvent } from './events.js'
import type { ModelProcess } from './model-process.js'
import { type PreparedModel, type PrepareModelOptions, prepareModel } from './prepare-model.js'
import { renewEveryMs, renewPrepared, sweepPrepared } from './sweep-prepared.js'

/** What loading adds beside weights: 21 MB measured with a model of 0.2 MB, and room. */
const processBytes = 40 << 20

export type StartOn = (spec: EngineSpec, signal: AbortSignal) => Promise<ModelProcess>

/** @returns what starts one process; it throws what `start` throws on the plain file */
export async function startMapped(
  options: PrepareModelOptions,
  start: StartOn,
  on: (event: ModelEvent) => void,
): Promise<(signal: AbortSignal) => Promise<ModelProcess>> {
  let prepared = await prepareModel(options).catch((error: unknown) => {
    on({ type: 'weights-not-mapped', why: words(error) })
    return undefined
  })
  if (prepared !== undefined) {
    const { bytes, prepacked, found } = prepared
    on({ type: 'weights-mapped', bytes, prepacked, found })
    await renewPrepared(prepared.dir)
    const removed = await sweepPrepared(dirname(prepared.dir))
    if (removed.length > 0) on({ type: 'weights-swept', removed })
  }
  return async (signal) => {
    const mapped = prepared
    if (mapped === undefined) return await start(options.spec, signal)
    try {
      const process = await start({ ...options.spec, prepared: mapped.dir }, signal)
      keepRenewed(mapped.dir, process)
      warnOfPrivate(process, mapped, on)
      return process
    } catch (error) {
      if (signal.aborted) throw error
      prepared = undefined
      on({ type: 'weights-not-mapped', why: words(error) })
      return await start(options.spec, signal)
    }
  }
}

/** For as long as the process runs: nobody else may take its file for forgotten. */
function keepRenewed(dir: string, process: ModelProcess): void {
  const renewal = setInterval(() => void renewPrepared(dir), renewEveryMs).unref()
  void process.ended.then(() => clearInterval(renewal))
}

/** Weights that are not packed ahead are packed by each process, at most once over. */
function warnOfPrivate(
  { pid, privateGrowthBytes }: ModelProcess,
  { dir, bytes, prepacked }: PreparedModel,
  on: (event: ModelEvent) => void,
): void {
  const boundBytes = processBytes + (prepacked ? bytes / 4 : bytes)
  if (privateGrowthBytes !== null && privateGrowthBytes > boundBytes) {
    const why =
      `A model process holds ${megabytes(privateGrowthBytes)} MB of its own, where shared weights leave at most ` +
      `${megabytes(boundBytes)} MB: the prepared file was made for another CPU, or this system could not map it. ` +
      `Remove ${dir} and start again; if that does not help, MAPPED_WEIGHTS=false saves the room on disk`
    on({ type: 'weights-not-shared', pid, privateGrowthBytes, boundBytes, why })
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
