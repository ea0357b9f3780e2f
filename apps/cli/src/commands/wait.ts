/** `millrace wait`: a job, once it is settled. */
import { Command } from 'commander'
import { wholeNumber } from './arguments.js'
import { type CommandIo, processIo } from './command-io.js'
import { type ConnectionOptions, clientOf, withConnection } from './connection.js'
import { interruptible } from './interruptible.js'
import { showSettled } from './show-settled.js'

interface WaitCommandOptions extends ConnectionOptions {
  readonly timeout: number
  readonly json?: boolean
}

export function waitCommand(io: CommandIo = processIo): Command {
  const command = new Command('wait')
    .description('Wait until a job is settled, and show its output. Exits with 1 unless it succeeded.')
    .argument('<id>', 'the id of the job')
    .option(
      '--timeout <seconds>',
      'how long to wait; the job goes on all the same',
      wholeNumber(1, 604_800),
      600,
    )
    .option('--json', 'write the job as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ millrace wait 01a20b3e-63e5-742b-a4ef-c455550fa479
  $ millrace wait 01a20b3e-63e5-742b-a4ef-c455550fa479 --json --timeout 3600 | jq .output`,
    )
    .action((id: string, { timeout: timeoutS, json = false, ...connection }: WaitCommandOptions) =>
      interruptible(
        io,
        () => `The job goes on: millrace wait ${id}`,
        (signal) => showSettled(io, clientOf(connection), id, { timeoutS, json, signal }),
      ),
    )
  return withConnection(command)
}
