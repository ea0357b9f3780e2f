/** `millrace models`: what stands in millrace.json, and whether the files are what it says. Each command in models/. */
import { type Config, dtypes, loadConfig, loadSettings, type Settings } from '@millrace/config'
import { tasks } from '@millrace/contracts'
import { Argument, Command, Option } from 'commander'
import { type CommandIo, processIo } from './command-io.js'
import { type AddOptions, addModel } from './models/add.js'
import { listModels } from './models/list.js'
import { type ModelSource, modelSource } from './models/model-source.js'
import { removeModel } from './models/remove.js'
import { verifyModels } from './models/verify.js'

interface Json {
  readonly json?: boolean
}

/** What the commands read, when they are run. */
interface Read {
  readonly settings: () => Settings
  readonly config: () => Config
}

export function modelsCommand(
  io: CommandIo = processIo,
  read: Read = { settings: loadSettings, config: loadConfig },
): Command {
  return new Command('models')
    .description('Add, list, verify and remove the models of millrace.json.')
    .addCommand(addCommand(io, read))
    .addCommand(listCommand(io, read))
    .addCommand(verifyCommand(io, read))
    .addCommand(removeCommand(io, read))
    .addHelpText(
      'after',
      `
Examples:
  $ millrace models add hub:owner/name@main --alias my-model --dtype fp32
  $ millrace models add path:/srv/models/my-model --task rerank
  $ millrace models verify`,
    )
}

function addCommand(io: CommandIo, { settings }: Read): Command {
  return new Command('add')
    .description(
      'Fetch a model, check it, prepare its weights, load it once with its self-test, and pin it in millrace.json.',
    )
    .addArgument(new Argument('<source>', 'hub:owner/name@revision, or path:folder').argParser(modelSource))
    .option('--alias <name>', 'the name by which clients ask for it (default: its own)')
    .addOption(new Option('--task <task>', 'what it does (default: feature-extraction)').choices([...tasks]))
    .addOption(new Option('--dtype <dtype>', 'which ONNX file of it (default: q8)').choices([...dtypes]))
    .option(
      '--replace',
      'put it in the place of the model of that alias; its limits stay, and so do task and dtype',
    )
    .option('--json', 'write what was found as JSON')
    .addHelpText(
      'after',
      `
A branch or tag is resolved to the commit that it is now; the entry names the commit. What is written last is millrace.json
(MILLRACE_CONFIG), as a whole: where anything fails before, it stays as it was. Files that were fetched are kept for the next try.
HUB_URL names a mirror; HF_TOKEN opens gated models of huggingface.co.

Examples:
  $ millrace models add hub:owner/name@main --alias my-model
  $ millrace models add hub:owner/name@<commit> --alias my-model --replace
  $ millrace models add path:models/my-model --task text-classification --dtype fp32`,
    )
    .action((source: ModelSource, options: AddOptions) => addModel(source, options, settings(), io))
}

function listCommand(io: CommandIo, { config }: Read): Command {
  return new Command('list')
    .description('Show what millrace.json names.')
    .option('--json', 'write it as JSON, with the limits of each')
    .addHelpText('after', '\nExample:\n  $ millrace models list')
    .action((options: Json) => listModels(config(), options, io))
}

function verifyCommand(io: CommandIo, { config }: Read): Command {
  return new Command('verify')
    .description('Hold the files of each model against the digest that millrace.json pins.')
    .argument('[alias...]', 'only these')
    .option('--json', 'write it as JSON')
    .addHelpText(
      'after',
      `
Loads and fetches nothing. Exits with 1 where files are changed, broken or not here.

Example:
  $ millrace models verify`,
    )
    .action((aliases: readonly string[], options: Json) => verifyModels(aliases, config(), options, io))
}

function removeCommand(io: CommandIo, { settings }: Read): Command {
  return new Command('remove')
    .description('Take a model out of millrace.json. Its files stay.')
    .argument('<alias>')
    .addHelpText('after', '\nExample:\n  $ millrace models remove my-model')
    .action((alias: string) => removeModel(alias, settings(), io))
}
