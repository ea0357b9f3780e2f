/**
 * `millrace prepare`: has this machine's models on disk and proves that each loads and passes its self-test, before a
 * worker needs them. Needs no Redis and no fleet. How a model is fetched and loaded is @millrace/model's matter.
 */
import { type Config, loadConfig, type ModelConfig } from '@millrace/config'
import type { ModelFacts } from '@millrace/contracts'
import type { ModelEvent } from '@millrace/model'
import { Command } from 'commander'
import { type CommandIo, processIo, write } from './command-io.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { aligned, numbersPerItem } from './fleet-table.js'

interface PrepareOptions {
  readonly model?: readonly string[]
  readonly json?: boolean
}

/** A model as it was found to be, or why it cannot be used. */
type Prepared = Ready | Failed
type Ready = ModelFacts & {
  readonly id: string
  readonly ready_ms: number
}
interface Failed {
  readonly id: string
  readonly error: string
}

/** @param settings the configuration to read; throws ConfigError */
export function prepareCommand(io: CommandIo = processIo, settings: () => Config = loadConfig): Command {
  return new Command('prepare')
    .description(
      'Download the models of millrace.json, prepare their weights to be shared, load each once and let it test itself.',
    )
    .option(
      '--model <alias>',
      'only this one; give it again for more (default: all that a worker here would serve)',
      (alias: string, before: readonly string[] = []) => [...before, alias],
    )
    .option('--json', 'write what was found as JSON')
    .addHelpText(
      'after',
      `
Models of a hub are fetched into MILLRACE_DATA_DIR, where workers look first. What is there already is not fetched again.
Their weights are saved there for this CPU, so that all model processes share one copy (MAPPED_WEIGHTS=false: they do not).
Exits with 1 when a model cannot be fetched or loaded, or fails its self-test; the others are prepared all the same.

Examples:
  $ millrace prepare
  $ millrace prepare --model all-MiniLM-L6-v2
  $ millrace prepare --json | jq -r '.[] | .id + " " + .version'
  $ docker compose run --rm worker millrace prepare`,
    )
    .action((options: PrepareOptions) => prepare(options, settings(), io))
}

async function prepare(options: PrepareOptions, config: Config, io: CommandIo): Promise<void> {
  const models = wantedModels(options.model, config)
  const runtime = await modelRuntime()
  const prepared: Prepared[] = []
  // One after the other: two large models at once may not fit into memory.
  for (const model of models) prepared.push(await prepareOne(model, config, runtime, io))
  const good = prepared.filter((one): one is Ready => 'version' in one)
  if (options.json) await write(io.stdout, `${JSON.stringify(prepared)}\n`)
  else if (good.length > 0) await write(io.stdout, `${modelTable(good).join('\n')}\n`)
  const failed = prepared.filter((one): one is Failed => 'error' in one)
  if (failed.length > 0) throw new CommandFailure(failed.map(({ id, error }) => `${id}: ${error}`).join('\n'))
}

/** @throws CommandFailure for an alias that millrace.json has not */
function wantedModels(aliases: readonly string[] | undefined, { models, served }: Config): ModelConfig[] {
  return [...new Set(aliases ?? served)].map((alias) => {
    const model = models.get(alias)
    if (model) return model
    const known = [...models.keys()].join(', ')
    throw new CommandFailure(
      `--model: there is no '${alias}' in millrace.json, only ${known}`,
      exitCode.usage,
    )
  })
}

type ModelRuntime = Pick<typeof import('@millrace/model'), 'loadModel'>

/** Not imported above: the other commands work where none is installed. @throws CommandFailure */
async function modelRuntime(): Promise<ModelRuntime> {
  try {
    return await import('@millrace/model')
  } catch (cause) {
    const words = 'There is no model runtime here. Run this where a worker runs.'
    throw new CommandFailure(words, exitCode.failed, { cause })
  }
}

async function prepareOne(
  model: ModelConfig,
  config: Config,
  { loadModel }: ModelRuntime,
  io: CommandIo,
): Promise<Prepared> {
  const { alias: id, task, dtype, dir, hub } = model
  const begun = performance.now()
  const tell = (words: string) => void write(io.stderr, `${id}: ${words}\n`).catch(() => {})
  try {
    const loaded = await loadModel({
      ...{ alias: id, task, dtype, dir, hub },
      dataDir: config.MILLRACE_DATA_DIR,
      processes: 1,
      threads: config.MODEL_THREADS,
      batchTimeoutMs: config.BATCH_TIMEOUT_MS,
      mappedWeights: config.MAPPED_WEIGHTS,
      strictBatching: config.STRICT_BATCHING,
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

function progressWords(event: ModelEvent): string | undefined {
  if (event.type === 'download') return `fetched ${event.file} (${megabytes(event.bytes)} MB)`
  if (event.type === 'process-start-failed') return `could not be loaded, attempt ${event.attempt}`
  if (event.type === 'weights-not-mapped') {
    return `its weights are not shared, each model process loads its own: ${event.why}`
  }
  if (event.type === 'weights-not-shared') {
    return `a model process holds ${megabytes(event.privateGrowthBytes)} MB of its own although weights are shared`
  }
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

function modelTable(models: readonly Ready[]): string[] {
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
