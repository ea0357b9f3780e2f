/** The `millrace` command: which commands there are, and what a fault looks like. Each is in its own file in commands/. */
import { Command } from 'commander'
import { cancelCommand } from './commands/cancel.js'
import { faultOf } from './commands/fault-words.js'
import { runCommand } from './commands/run.js'
import { statusCommand } from './commands/status.js'
import { submitCommand } from './commands/submit.js'
import { upCommand } from './commands/up.js'
import { waitCommand } from './commands/wait.js'
import { plainPaint, terminalPaint } from './paint.js'

const program = new Command('millrace').description(
  'A queue-driven inference fleet: a light gateway, workers, and a cache they all share.',
)
const commands = [upCommand(), runCommand(), submitCommand(), waitCommand(), statusCommand(), cancelCommand()]
for (const command of commands) program.addCommand(command)
inherit(program)

try {
  await program.parseAsync()
  // `up` goes on until a signal; whatever else there is has done its work.
} catch (error) {
  const { words, code } = faultOf(error)
  const { red } = process.stderr.isTTY && process.stderr.hasColors() ? terminalPaint : plainPaint
  process.exitCode = code
  process.stderr.write(words === '' ? '' : `${red('✗')} ${words}\n`, () => process.exit(code))
}

/** Every command, also one in a command: a usage error is thrown rather than exited with, and points to the help. */
function inherit(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for the options)')
  for (const child of command.commands) inherit(child)
}
