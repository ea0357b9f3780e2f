/** Waits for a job and shows how it ended: the second half of `submit --wait`, and all of `wait`. */
import { isSettled, type Job, type Millrace, MillraceTimeoutError } from '@millrace/client'
import { type CommandIo, write } from './command-io.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { jobLine, outputLines } from './job-words.js'

export interface ShowOptions {
  readonly timeoutS: number
  readonly json: boolean
  readonly signal: AbortSignal
}

/** @throws CommandFailure when the job did not succeed, or not in time */
export async function showSettled(
  io: CommandIo,
  client: Millrace,
  job: Job | string,
  { timeoutS, json, signal }: ShowOptions,
): Promise<void> {
  const id = typeof job === 'string' ? job : job.id
  const settled =
    typeof job !== 'string' && isSettled(job)
      ? job
      : await client.wait(id, { timeoutMs: timeoutS * 1000, signal }).catch((error: unknown) => {
          if (!(error instanceof MillraceTimeoutError)) throw error
          const words = `Not settled within ${timeoutS} s. The job goes on: millrace wait ${id}`
          throw new CommandFailure(words, exitCode.failed, { cause: error })
        })
  const lines = json ? [JSON.stringify(settled)] : [jobLine(settled), ...outputLines(settled)]
  await write(io.stdout, `${lines.join('\n')}\n`)
  // What went wrong is in the line, or in the JSON.
  if (settled.status !== 'succeeded') throw new CommandFailure('', exitCode.failed)
}
