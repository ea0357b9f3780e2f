/** Which commands there are. Each is in its own file beside this one. */
import { Command } from 'commander'
import { cancelCommand } from './cancel.js'
import { keysCommand } from './keys.js'
import { modelsCommand } from './models.js'
import { prepareCommand } from './prepare.js'
import { runCommand } from './run.js'
import { statusCommand } from './status.js'
import { submitCommand } from './submit.js'
import { upCommand } from './up.js'
import { waitCommand } from './wait.js'
import { webhookSecretsCommand } from './webhook-secrets.js'

/** Parsing it throws, where commander would end the process: see fault-words.ts. */
export function millraceProgram(): Command {
  const program = new Command('millrace').description(
    'A queue-driven inference fleet: a light gateway, workers, and a cache they all share.',
  )
  const commands = [
    upCommand(),
    modelsCommand(),
    prepareCommand(),
    statusCommand(),
    runCommand(),
    submitCommand(),
    waitCommand(),
    cancelCommand(),
    keysCommand(),
    webhookSecretsCommand(),
  ]
  for (const command of commands) program.addCommand(command)
  throwFaults(program)
  return program
}

/** In every command, also one in a command. */
function throwFaults(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for the options)')
  for (const child of command.commands) throwFaults(child)
}
