/** `millrace run`: a file of texts through the fleet. Options, Ctrl-C and words; the work is in run-file/. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Millrace, Model } from '@millrace/client'
import { Command, Option } from 'commander'
import { wholeNumber } from './arguments.js'
import { type CommandIo, processIo } from './command-io.js'
import { type ConnectionOptions, clientOf, withConnection } from './connection.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { wordsOf } from './fault-words.js'
import { fingerprint } from './run-file/journal.js'
import { Progress } from './run-file/progress.js'
import { ProgressLine } from './run-file/progress-line.js'
import { openFileSink, openStreamSink, type ResultSink } from './run-file/result-sink.js'
import type { FileEncoding } from './run-file/result-text.js'
import { runFile } from './run-file/run-file.js'

interface RunCommandOptions extends ConnectionOptions {
  readonly model: string
  readonly output?: string
  readonly errors?: string
  readonly overwrite?: boolean
  readonly encoding: FileEncoding
  readonly truncate?: boolean
  readonly batch: number
  readonly concurrency: number
  readonly priority?: number
  readonly retryFor: number
  readonly quiet?: boolean
}

interface Input {
  readonly path: string
  /** undefined for what is no file: standard input, a pipe. It can be read once only. */
  readonly bytes: number | undefined
}

/** What is under way at a Ctrl-C is given this long to be written; a second Ctrl-C does not wait. */
const stopGraceMs = 5000

export function runCommand(io: CommandIo = processIo): Command {
  const command = new Command('run')
    .description(
      'Run a file of texts, of any size, through the fleet. Can be stopped, and resumed, at any time.',
    )
    .argument(
      '<input>',
      'a file of JSON lines, each a string or { "input": "...", "id": any }; "-": standard input',
    )
    .requiredOption('--model <alias>', 'the model, as `millrace status` names it')
    .option(
      '--output <file>',
      'where the results go; only so can a run be resumed (default: standard output)',
    )
    .option(
      '--errors <file>',
      'where lines that failed go, as input for another run (default: <output>.errors.jsonl, or standard error)',
    )
    .option('--overwrite', 'begin anew, over what is in the output')
    .addOption(
      new Option('--encoding <form>', 'of the embeddings in the output')
        .choices(['float', 'base64'])
        .default('float'),
    )
    .option('--truncate', 'cut texts that are too long, instead of failing them')
    .option('--batch <items>', 'lines per job', wholeNumber(1, 10_000), 32)
    .option('--concurrency <jobs>', 'jobs under way at once', wholeNumber(1, 1000), 8)
    .option('--priority <0-9>', '0 goes first, 9 yields to all others', wholeNumber(0, 9))
    .option(
      '--retry-for <seconds>',
      'how long a fleet that is away or busy is waited for',
      wholeNumber(0, 604_800),
      600,
    )
    .option('--quiet', 'show no progress')
    .addHelpText(
      'after',
      `
Output: one line for each line of input, in their order: { "index", "id", "output" }, or { "index", "id", "error" } for a
line that failed. The same command again goes on after a crash or Ctrl-C; nothing is computed twice.
Exits with 1 when a line failed, 130 when it was stopped.

Examples:
  $ millrace run --model all-MiniLM-L6-v2 --output vectors.jsonl texts.jsonl
  $ jq -c .title articles.json | millrace run --model all-MiniLM-L6-v2 - > vectors.jsonl
  $ millrace run --model all-MiniLM-L6-v2 --truncate --output second.jsonl vectors.jsonl.errors.jsonl`,
    )
    .action((input: string, options: RunCommandOptions) => run(input, options, io))
  return withConnection(command)
}

async function run(path: string, options: RunCommandOptions, io: CommandIo): Promise<void> {
  const input = await inputOf(path)
  let progress = new Progress(input.bytes, 0, performance.now())
  const client = clientOf(options, options.retryFor, (fault, pauseMs) =>
    progress.waiting(`waiting ${Math.ceil(pauseMs / 1000)} s: ${fault.message}`),
  )
  const { workers, task } = await modelOf(client, options.model)
  const line = new ProgressLine(io.stderr, () => progress.line(performance.now()), {
    quiet: options.quiet === true,
  })
  io.stdout.on('error', () => {}) // a reader that went away (`| head`) is an error of the write that finds out
  const sink = await sinkOf(input, options, io, (text) => line.say(text))
  if (workers === 0) await line.say(`No worker serves ${options.model} now; waiting for one.\n`)
  if (sink.next > 0) await line.say(`Resuming after line ${words(sink.next)}.\n`)
  const stopper = new Stopper(io, () =>
    line.say('Stopping: finishing what is under way (Ctrl-C again: at once).\n'),
  )
  let finished = false
  try {
    finished = await runFile({
      client,
      sink,
      source: input.path === '-' ? (io.stdin as Readable) : createReadStream(input.path),
      model: options.model,
      task,
      truncate: options.truncate === true,
      priority: options.priority,
      batch: options.batch,
      concurrency: options.concurrency,
      stop: stopper.stop,
      abort: stopper.abort,
      onSkipped: (bytes) => {
        progress = new Progress(input.bytes, bytes, performance.now())
      },
      onWritten: ({ lines, failed, cached, bytes }) =>
        progress.written(lines, failed, cached, bytes, performance.now()),
    })
  } catch (error) {
    if (!stopper.stop.aborted) throw faultOf(error, options, input)
  } finally {
    stopper.end()
    line.end()
    await sink.close(finished)
  }
  if (!options.quiet || progress.failed > 0) await line.say(`${progress.summary(performance.now())}\n`)
  if (!finished) throw new CommandFailure(`Stopped. ${resumeWords(options, input)}`, exitCode.interrupted)
  if (progress.failed > 0) throw new CommandFailure(failedWords(options), exitCode.failed)
}

/** Two steps of stopping: what is under way may end, then not. */
class Stopper {
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  readonly #io: CommandIo
  readonly #heard: () => void
  #grace: NodeJS.Timeout | undefined

  constructor(io: CommandIo, onStop: () => void) {
    this.#io = io
    this.#heard = () => {
      if (this.#stop.signal.aborted) return this.#abort.abort()
      this.#stop.abort()
      this.#grace = setTimeout(() => this.#abort.abort(), stopGraceMs)
      onStop()
    }
    io.signals.on('SIGINT', this.#heard)
    io.signals.on('SIGTERM', this.#heard)
  }

  get stop(): AbortSignal {
    return this.#stop.signal
  }

  get abort(): AbortSignal {
    return this.#abort.signal
  }

  end(): void {
    clearTimeout(this.#grace)
    this.#io.signals.off('SIGINT', this.#heard)
    this.#io.signals.off('SIGTERM', this.#heard)
  }
}

async function sinkOf(
  input: Input,
  options: RunCommandOptions,
  { stdout }: CommandIo,
  tell: (text: string) => Promise<void>,
): Promise<ResultSink> {
  const { output, encoding, errors, overwrite = false } = options
  if (output === undefined) return openStreamSink({ stdout, errors, tell, encoding, overwrite })
  const { model, batch, truncate = false } = options
  const identity = {
    input: input.bytes === undefined ? 'a stream' : await fingerprint(input.path),
    model,
    batch,
    truncate,
    encoding,
    errors: errors ?? `${output}.errors.jsonl`,
  }
  const sink = await openFileSink({ output, identity, encoding, overwrite })
  if (input.bytes !== undefined || sink.next === 0) return sink
  await sink.close(false)
  const why = 'its input was no file, and cannot be read again'
  throw new CommandFailure(`${output} cannot be resumed: ${why}. Give --overwrite.`, exitCode.usage)
}

/** Said before anything is read: an alias that is misspelt is not an error of the first line. */
async function modelOf(client: Millrace, alias: string): Promise<Pick<Model, 'workers' | 'task'>> {
  const models = await client.models()
  const model = models.find(({ id }) => id === alias)
  if (model) return model
  const names = models.map(({ id }) => id).join(', ')
  throw new CommandFailure(`This fleet has no model '${alias}'. It has: ${names || 'none'}.`, exitCode.usage)
}

async function inputOf(path: string): Promise<Input> {
  if (path === '-') return { path, bytes: undefined }
  try {
    const stats = await stat(path)
    return { path, bytes: stats.isFile() ? stats.size : undefined }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`The input cannot be read: ${words}`, exitCode.usage, { cause: error })
  }
}

function faultOf(error: unknown, options: RunCommandOptions, input: Input): CommandFailure {
  if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return new CommandFailure('')
  return new CommandFailure(`${wordsOf(error)}\n${resumeWords(options, input)}`, exitCode.failed, {
    cause: error,
  })
}

function resumeWords({ output }: RunCommandOptions, { bytes }: Input): string {
  if (output === undefined) return 'Without --output a run cannot be resumed.'
  if (bytes === undefined) return 'What came from no file cannot be resumed.'
  return 'The same command again goes on from here.'
}

function failedWords({ output, errors }: RunCommandOptions): string {
  const file = errors ?? (output === undefined ? undefined : `${output}.errors.jsonl`)
  return file === undefined ? 'Some lines failed.' : `The lines that failed are in ${file}.`
}

function words(count: number): string {
  return count.toLocaleString('en-US')
}
