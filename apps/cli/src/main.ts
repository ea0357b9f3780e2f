/** The `millrace` command: what a fault looks like, and the exit code. What the commands do is in commands/. */
import { faultOf } from './commands/fault-words.js'
import { millraceProgram } from './commands/program.js'
import { plainPaint, terminalPaint } from './paint.js'

try {
  await millraceProgram().parseAsync()
} catch (error) {
  const { words, code } = faultOf(error)
  const { red } = process.stderr.isTTY && process.stderr.hasColors() ? terminalPaint : plainPaint
  process.exitCode = code
  process.stderr.write(words === '' ? '' : `${red('✗')} ${words}\n`, () => process.exit(code))
}
