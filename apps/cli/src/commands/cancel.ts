/** `millrace cancel`: ends a job that is not settled yet. */
import { Command } from 'commander'
import { type CommandIo, processIo, write } from './command-io.js'
import { type ConnectionOptions, clientOf, withConnection } from './connection.js'
import { interruptible } from './interruptible.js'
import { jobLine } from './job-words.js'

interface CancelCommandOptions extends ConnectionOptions {
  readonly json?: boolean
}

export function cancelCommand(io: CommandIo = processIo): Command {
  const command = new Command('cancel')
    .description(
      'Cancel a job. One that is canceled already is fine; one that is settled otherwise is an error.',
    )
    .argument('<id>', 'the id of the job')
    .option('--json', 'write the job as JSON')
    .addHelpText('after', '\nExample:\n  $ millrace cancel 01a20b3e-63e5-742b-a4ef-c455550fa479')
    .action((id: string, { json, ...connection }: CancelCommandOptions) =>
      interruptible(
        io,
        () => 'Interrupted.',
        async (signal) => {
          const job = await clientOf(connection).cancel(id, { signal })
          await write(io.stdout, `${json ? JSON.stringify(job) : jobLine(job)}\n`)
        },
      ),
    )
  return withConnection(command)
}
