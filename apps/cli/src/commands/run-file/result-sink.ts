/** Where results go: a file with its errors beside it, to be resumed, or standard output. */
import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { type Screenlike, write } from '../command-io.js'
import { CommandFailure, exitCode } from '../exit-code.js'
import type { LineResult } from './input-item.js'
import { differences, type RunIdentity, readJournal, removeJournal, writeJournal } from './journal.js'
import { ResultFile } from './result-file.js'
import { type FileEncoding, failureText, resultText } from './result-text.js'

export interface ResultSink {
  /** Part of every idempotency key: of this run, and of those that resume it. */
  readonly runId: string
  /** The first line of input that has no result here yet. */
  readonly next: number
  /** Results in the order of their lines; those before `next` are there already and passed over. */
  write(results: readonly LineResult[]): Promise<void>
  /** @param finished nothing is left to resume */
  close(finished: boolean): Promise<void>
}

export interface FileSinkOptions {
  readonly output: string
  readonly identity: RunIdentity
  readonly encoding: FileEncoding
  /** Begin anew, whatever is there. */
  readonly overwrite: boolean
}

/** @throws CommandFailure when there is a file that this run may not go on with */
export async function openFileSink(options: FileSinkOptions): Promise<ResultSink> {
  const { output, identity, encoding } = options
  const errors = new LazyErrors(identity.errors)
  const runId = options.overwrite ? undefined : await runToResume(output, identity)
  if (runId === undefined) return beginFileSink(options, errors)
  const { file, next } = await ResultFile.resume(output)
  await errors.resumeBefore(next)
  return fileSink({ runId, next, file, errors, encoding })
}

/** The order matters: the journal comes last, and an empty output without one is simply begun again. */
async function beginFileSink(
  { output, identity, encoding, overwrite }: FileSinkOptions,
  errors: LazyErrors,
): Promise<ResultSink> {
  if (!overwrite) await refuseToOverwrite([output, identity.errors])
  await removeJournal(output)
  const file = await ResultFile.create(output)
  if (await holdsSomething(identity.errors)) await errors.resumeBefore(0)
  const runId = randomUUID()
  await writeJournal(output, { format: 'millrace-run/1', runId, ...identity })
  return fileSink({ runId, next: 0, file, errors, encoding })
}

async function runToResume(output: string, identity: RunIdentity): Promise<string | undefined> {
  const journal = await readJournal(output)
  if (journal === undefined || !(await exists(output))) return undefined
  const different = differences(journal, identity)
  if (different.length === 0) return journal.runId
  throw new CommandFailure(
    `${output} is of an unfinished run that differs in: ${different.join(', ')}. Finish that one with the options it ` +
      'was begun with, name another output, or give --overwrite.',
    exitCode.usage,
  )
}

interface FileSinkParts {
  readonly runId: string
  readonly next: number
  readonly file: ResultFile
  readonly errors: LazyErrors
  readonly encoding: FileEncoding
}

function fileSink({ runId, next, file, errors, encoding }: FileSinkParts): ResultSink {
  return {
    runId,
    next,
    async write(results) {
      const fresh = results.filter(({ index }) => index >= next)
      // Errors first: what a crash leaves there without its line in the output is cut off when the run is resumed.
      await errors.write(fresh.map(failureText).join(''))
      await file.write(fresh.map((result) => resultText(result, encoding)).join(''))
    },
    async close(finished) {
      await errors.close(finished)
      await file.close({ flush: finished })
      if (finished) await removeJournal(file.path)
    },
  }
}

/** The errors file is made with its first error: most runs need none. */
class LazyErrors {
  readonly #path: string
  #file: ResultFile | undefined

  constructor(path: string) {
    this.#path = path
  }

  async resumeBefore(next: number): Promise<void> {
    if (await exists(this.#path)) this.#file = await ResultFile.resumeBefore(this.#path, next)
  }

  async write(text: string): Promise<void> {
    if (text === '') return
    this.#file ??= await ResultFile.create(this.#path)
    await this.#file.write(text)
  }

  async close(flush: boolean): Promise<void> {
    await this.#file?.close({ flush })
  }
}

export interface StreamSinkOptions {
  readonly stdout: Screenlike
  /** The file for lines that failed; where there is none, they are given to `tell`. */
  readonly errors: string | undefined
  readonly tell: (text: string) => Promise<void>
  readonly encoding: FileEncoding
  readonly overwrite: boolean
}

/** @throws CommandFailure when the errors file holds something already */
export async function openStreamSink(options: StreamSinkOptions): Promise<ResultSink> {
  const { stdout, errors, tell, encoding, overwrite } = options
  if (errors !== undefined && !overwrite) await refuseToOverwrite([errors])
  const file = errors === undefined ? undefined : new LazyErrors(errors)
  return {
    runId: randomUUID(),
    next: 0,
    async write(results) {
      const failures = results.map(failureText).join('')
      if (file) await file.write(failures)
      else if (failures !== '') await tell(failures)
      await write(stdout, results.map((result) => resultText(result, encoding)).join(''))
    },
    async close(finished) {
      await file?.close(finished)
    },
  }
}

async function refuseToOverwrite(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (!(await holdsSomething(path))) continue
    const words = `${path} is there already, and is not of an unfinished run. Name another, or give --overwrite.`
    throw new CommandFailure(words, exitCode.usage)
  }
}

async function exists(path: string): Promise<boolean> {
  return (await sizeOf(path)) !== undefined
}

async function holdsSomething(path: string): Promise<boolean> {
  return ((await sizeOf(path)) ?? 0) > 0
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  )
}
