/** `millrace models verify`: are the files here those that millrace.json pins? Reads them; loads and fetches nothing. */
import type { Config, ModelConfig } from '@millrace/config'
import { type CommandIo, write } from '../command-io.js'
import { CommandFailure, exitCode } from '../exit-code.js'
import { aligned } from '../fleet-table.js'
import { type ModelRuntime, modelRuntime } from '../load-once.js'
import { shortDigest } from './list.js'

/** `pinned`: as the pin says. `not pinned`: they are here, and nothing says what they should be. */
interface Verified {
  readonly id: string
  readonly state: 'pinned' | 'not pinned' | 'changed' | 'not here' | 'broken'
  readonly digest: string | null
  readonly error: string | null
}

export async function verifyModels(
  aliases: readonly string[],
  config: Config,
  { json }: { json?: boolean },
  io: CommandIo,
): Promise<void> {
  const wanted =
    aliases.length > 0 ? aliases.map((alias) => modelOf(alias, config)) : [...config.models.values()]
  const runtime = await modelRuntime()
  const verified: Verified[] = []
  for (const model of wanted) verified.push(await verifyOne(model, config, runtime))
  if (json) await write(io.stdout, `${JSON.stringify(verified)}\n`)
  else {
    const rows = verified.map(({ id, state, digest }) => [id, state, shortDigest(digest) ?? '-'])
    await write(io.stdout, `${aligned([['MODEL', 'FILES', 'DIGEST'], ...rows]).join('\n')}\n`)
  }
  const faults = verified.flatMap(({ id, error }) => (error === null ? [] : [`${id}: ${error}`]))
  if (faults.length > 0) throw new CommandFailure(faults.join('\n'))
}

async function verifyOne(
  { alias, task, dtype, dir, hub, digest: pinned }: ModelConfig,
  { MILLRACE_DATA_DIR: dataDir }: Config,
  { digestModel, ModelDigestError }: ModelRuntime,
): Promise<Verified> {
  try {
    const digest = await digestModel({ alias, task, dtype, dir, hub, dataDir }, pinned)
    if (digest !== undefined) {
      return { id: alias, state: pinned === null ? 'not pinned' : 'pinned', digest, error: null }
    }
    const error = `it was not downloaded into ${dataDir} yet (millrace prepare --model ${alias})`
    return { id: alias, state: 'not here', digest: null, error }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    if (error instanceof ModelDigestError) {
      return { id: alias, state: 'changed', digest: error.found, error: words }
    }
    return { id: alias, state: 'broken', digest: null, error: words }
  }
}

/** @throws CommandFailure for an alias that millrace.json has not */
function modelOf(alias: string, { models, MILLRACE_CONFIG }: Config): ModelConfig {
  const model = models.get(alias)
  if (model) return model
  const words = `There is no model '${alias}' in ${MILLRACE_CONFIG}, only ${[...models.keys()].join(', ')}.`
  throw new CommandFailure(words, exitCode.usage)
}
