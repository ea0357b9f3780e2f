/** A model, loaded once where no fleet is: fetched, checked, its weights prepared, its self-test passed; and then closed. */
import type { ModelConfig, Settings } from '@millrace/config'
import type { ModelFacts } from '@millrace/contracts'
import type { ModelEvent } from '@millrace/model'
import { type CommandIo, write } from './command-io.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { aligned, numbersPerItem } from './fleet-table.js'

/** A model as it was found to be. */
export type Ready = ModelFacts & {
  readonly id: string
  readonly ready_ms: number
}
/** Why it cannot be used. */
export interface Failed {
  readonly id: string
  readonly error: string
}

export type LoadSettings = Pick<
  Settings,
  'MILLRACE_DATA_DIR' | 'HUB_URL' | 'MAPPED_WEIGHTS' | 'STRICT_BATCHING'
>

export type ModelRuntime = typeof import('@millrace/model')

/** Not imported above: the other commands work where none is installed. @throws CommandFailure */
export async function modelRuntime(): Promise<ModelRuntime> {
  try {
    return await import('@millrace/model')
  } catch (cause) {
    const words = 'There is no model runtime here. Run this where a worker runs.'
    throw new CommandFailure(words, exitCode.failed, { cause })
  }
}

/** Says on standard error what it does. What goes wrong is the answer, not an exception. */
export async function loadOnce(
  model: ModelConfig,
  settings: LoadSettings,
  { loadModel }: Pick<ModelRuntime, 'loadModel'>,
  io: CommandIo,
): Promise<Ready | Failed> {
  const { alias: id, task, dtype, device, dir, hub, digest, limits } = model
  const begun = performance.now()
  const tell = (words: string) => void write(io.stderr, `${id}: ${words}\n`).catch(() => {})
  try {
    const loaded = await loadModel({
      ...{ alias: id, task, dtype, device, dir, hub, digest },
      dataDir: settings.MILLRACE_DATA_DIR,
      hubUrl: settings.HUB_URL,
      processes: 1,
      threads: limits.threads === 'auto' ? 1 : limits.threads,
      batchTimeoutMs: limits.batchTimeoutMs,
      mappedWeights: settings.MAPPED_WEIGHTS,
      strictBatching: settings.STRICT_BATCHING,
      on: (event) => {
        const words = progressWords(event)
        if (words !== undefined) tell(words)
      },
    })
    await loaded.close({ force: true })
    return { id, ready_ms: Math.round(performance.now() - begun), ...loaded.facts }
  } catch (error) {
    return { id, error: (error instanceof Error ? error.message : String(error)).trim() }
  }
}

export function progressWords(event: ModelEvent): string | undefined {
  if (event.type === 'download') return `fetched ${event.file} (${megabytes(event.bytes)} MB)`
  if (event.type === 'process-start-failed') return `could not be loaded, attempt ${event.attempt}`
  if (event.type === 'weights-not-mapped') {
    return `its weights are not shared, each model process loads its own: ${event.why}`
  }
  if (event.type === 'weights-not-shared') return event.why
  if (event.type === 'weights-mapped') {
    return `weights to share ${event.found ? 'were prepared before' : 'prepared'} (${megabytes(event.bytes)} MB)`
  }
  return undefined
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toLocaleString('en-US', { maximumFractionDigits: 1 })
}

/** As much of a version as tells two apart; --json has all of it. */
const shownDigits = 16

export function modelTable(models: readonly Ready[]): string[] {
  const head = ['MODEL', 'TASK', 'DTYPE', 'NUMBERS', 'TOKENS', 'BATCHES', 'VERSION', 'READY']
  const rows = models.map((model) => [
    model.id,
    model.task,
    model.dtype,
    String(numbersPerItem(model) ?? '-'),
    String(model.max_tokens),
    model.batching.mode.replaceAll('_', ' '),
    model.version.slice(0, shownDigits),
    `${(model.ready_ms / 1000).toFixed(1)} s`,
  ])
  return aligned([head, ...rows])
}
