/**
 * `millrace models add`: a model becomes an entry of millrace.json once it is here, is what the hub says, was loaded and
 * passed its self-test; and not before. The entry pins the digest of its files.
 */

import { existsSync } from 'node:fs'
import {
  aliasSchema,
  changeModelsFile,
  type ModelConfig,
  type ModelEntryText,
  modelConfigOf,
  modelEntrySchema,
  type Settings,
} from '@millrace/config'
import { type CommandIo, write } from '../command-io.js'
import { CommandFailure, exitCode } from '../exit-code.js'
import { loadOnce, type ModelRuntime, modelRuntime, modelTable, progressWords } from '../load-once.js'
import { entriesOf } from './entries.js'
import { type ModelSource, nameOf, pathFrom } from './model-source.js'

export interface AddOptions {
  readonly alias?: string
  readonly task?: string
  readonly dtype?: string
  readonly replace?: boolean
  readonly json?: boolean
}

export async function addModel(
  source: ModelSource,
  options: AddOptions,
  settings: Settings,
  io: CommandIo,
): Promise<void> {
  const file = settings.MILLRACE_CONFIG
  const alias = aliasOf(source, options)
  const before = entriesOf(file)
  if (before[alias] !== undefined && options.replace !== true) throw isThere(alias, file)
  const runtime = await modelRuntime()
  const entry = await entryOf(source, options, before[alias], settings, runtime)
  const model = modelConfigOf(alias, modelEntrySchema.parse(entry), settings)
  const digest = await digestOf(model, settings, runtime, io)
  const loaded = await loadOnce({ ...model, digest }, settings, runtime, io)
  if ('error' in loaded) throw new CommandFailure(`${alias}: ${loaded.error}\n${file} is as it was.`)
  changeModelsFile(file, (models) => {
    // Another may have been quicker.
    if (models[alias] !== undefined && options.replace !== true) throw isThere(alias, file)
    return { ...models, [alias]: { ...entry, digest } }
  })
  const added = `${modelTable([loaded]).join('\n')}\n\n${alias} is in ${file} now, pinned to ${digest}.\n`
  const next = 'Gateways and workers read that file when they start.\n'
  await write(io.stdout, options.json ? `${JSON.stringify({ ...loaded, digest })}\n` : `${added}${next}`)
}

/** @throws CommandFailure */
function aliasOf(source: ModelSource, { alias }: AddOptions): string {
  const parsed = aliasSchema.safeParse(alias ?? nameOf(source))
  if (parsed.success) return parsed.data
  const why = parsed.error.issues[0]?.message ?? 'it is not an alias'
  throw new CommandFailure(`--alias: '${alias ?? nameOf(source)}': ${why}`, exitCode.usage)
}

function isThere(alias: string, file: string): CommandFailure {
  const words = `There is a model '${alias}' in ${file} already: choose another --alias, or --replace it.`
  return new CommandFailure(words, exitCode.usage)
}

/** Limits belong to the alias, not to what stands behind it: they stay. */
async function entryOf(
  source: ModelSource,
  { task, dtype }: AddOptions,
  before: ModelEntryText | undefined,
  settings: Settings,
  runtime: ModelRuntime,
): Promise<ModelEntryText> {
  const place =
    source.kind === 'path'
      ? { path: pathFrom(settings.MILLRACE_CONFIG, folderOf(source.dir)) }
      : { hub: source.id, revision: await commitOf(source, settings, runtime) }
  const entry = {
    ...place,
    task: task ?? before?.task ?? 'feature-extraction',
    dtype: dtype ?? before?.dtype ?? 'q8',
    ...(before?.limits ? { limits: before.limits } : {}),
  }
  const parsed = modelEntrySchema.safeParse(entry)
  // Commander has checked the rest.
  if (!parsed.success) throw new CommandFailure(parsed.error.message, exitCode.usage)
  return entry as ModelEntryText
}

function folderOf(dir: string): string {
  if (existsSync(dir)) return dir
  throw new CommandFailure(`There is no folder ${dir}`)
}

/** @throws CommandFailure where a branch or tag is not resolved */
async function commitOf(
  { id, revision }: Extract<ModelSource, { kind: 'hub' }>,
  { HUB_URL }: Settings,
  runtime: ModelRuntime,
): Promise<string> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision
  const ask = "Give the commit itself: 40 hexadecimal digits, on the model's page under its history."
  const host = HUB_URL === '' ? {} : { remoteHost: HUB_URL }
  const commit = await runtime.resolveRevision({ id, revision, ...host }).catch((error: unknown) => {
    throw new CommandFailure(`'${revision}' is no commit, and was not resolved: ${messageOf(error)}\n${ask}`)
  })
  if (commit !== undefined) return commit
  throw new CommandFailure(`'${revision}' is no commit, and the hub does not say which one it is. ${ask}`)
}

/** Fetches what is not here; what is here is not pinned unasked. @throws CommandFailure */
async function digestOf(
  { alias, task, dtype, dir, hub }: ModelConfig,
  { MILLRACE_DATA_DIR: dataDir, HUB_URL: hubUrl }: Settings,
  { downloadModel, digestModel }: ModelRuntime,
  io: CommandIo,
): Promise<string> {
  try {
    if (hub) {
      await downloadModel({
        ...{ ...hub, dtype, task, dataDir, recheck: true },
        ...(hubUrl === '' ? {} : { remoteHost: hubUrl }),
        on: (event) => {
          const words = progressWords(event)
          if (words !== undefined) void write(io.stderr, `${alias}: ${words}\n`).catch(() => {})
        },
      })
    }
    const digest = await digestModel({ alias, task, dtype, dir, hub, dataDir })
    if (digest === undefined) throw new Error('its files are not here')
    return digest
  } catch (error) {
    throw new CommandFailure(`${alias}: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim()
}
