/** `millrace models remove`: takes an entry out of millrace.json. Files stay where they are. */
import { changeModelsFile, type Settings } from '@millrace/config'
import { type CommandIo, write } from '../command-io.js'
import { CommandFailure, exitCode } from '../exit-code.js'

export async function removeModel(alias: string, settings: Settings, io: CommandIo): Promise<void> {
  const file = settings.MILLRACE_CONFIG
  changeModelsFile(file, (models) => {
    const { [alias]: removed, ...others } = models
    const known = Object.keys(models)
    if (removed === undefined) {
      const words = `There is no model '${alias}' in ${file}, only ${known.join(', ') || 'none'}.`
      throw new CommandFailure(words, exitCode.usage)
    }
    if (known.length === 1) {
      throw new CommandFailure(
        `'${alias}' is the only model of ${file}: a fleet needs one. Add another first.`,
      )
    }
    return others
  })
  const words =
    `${alias} is not in ${file} any more. Its files are where they were. Gateways and workers read that file when ` +
    'they start; jobs that wait for it then expire.\n'
  await write(io.stdout, words)
}
