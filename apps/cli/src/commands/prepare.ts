/**
 * `millrace prepare`: has this machine's models on disk and proves that each loads and passes its self-test, before a
 * worker needs them. Needs no Redis and no fleet. How a model is fetched and loaded is @millrace/model's matter.
 */
import { type Config, loadConfig, type ModelConfig } from '@millrace/config'
import { Command } from 'commander'
import { type CommandIo, processIo, write } from './command-io.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { type Failed, loadOnce, modelRuntime, modelTable, type Ready } from './load-once.js'

interface PrepareOptions {
  readonly model?: readonly string[]
  readonly json?: boolean
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
  const prepared: (Ready | Failed)[] = []
  // One after the other: two large models at once may not fit into memory.
  for (const model of models) prepared.push(await loadOnce(model, config, runtime, io))
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
