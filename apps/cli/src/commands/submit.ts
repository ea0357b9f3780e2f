/** `millrace submit`: texts, or files of images or recordings, as one job. */
import { readFile } from 'node:fs/promises'
import type { SubmitBody, SubmitFilesBody } from '@millrace/client'
import { Command, Option } from 'commander'
import { eachOf, keyValue, wholeNumber } from './arguments.js'
import { type CommandIo, processIo, write } from './command-io.js'
import { type ConnectionOptions, clientOf, withConnection } from './connection.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { interruptible } from './interruptible.js'
import { jobLine } from './job-words.js'
import { showSettled } from './show-settled.js'

interface SubmitCommandOptions extends ConnectionOptions {
  readonly model: string
  readonly image?: string[]
  readonly audio?: string[]
  readonly wait?: boolean
  readonly timeout: number
  readonly truncate?: boolean
  readonly encoding?: 'float' | 'base64'
  readonly priority?: number
  readonly metadata?: Record<string, string>
  readonly webhook?: string
  readonly idempotencyKey?: string
  readonly json?: boolean
}

export function submitCommand(io: CommandIo = processIo): Command {
  const command = new Command('submit')
    .description('Submit texts or files as one job; "-" reads texts from standard input, one per line.')
    .argument('[text...]', 'the texts, or "-"')
    .requiredOption('--model <alias>', 'the model, as `millrace status` names it')
    .option('--image <file>', 'an image; may be given more than once', eachOf)
    .option('--audio <file>', 'a recording; may be given more than once', eachOf)
    .option('--wait', 'wait for the job, and show its output')
    .option(
      '--timeout <seconds>',
      'how long to wait; the job goes on all the same',
      wholeNumber(1, 604_800),
      600,
    )
    .option('--truncate', 'cut texts that are too long, instead of refusing them')
    .addOption(new Option('--encoding <form>', 'of embeddings (default: float)').choices(['float', 'base64']))
    .option('--priority <0-9>', '0 goes first, 9 yields to all others', wholeNumber(0, 9))
    .option('--metadata <key=value>', 'kept with the job; may be given more than once', keyValue)
    .option('--webhook <url>', 'where to tell of the end of the job')
    .option('--idempotency-key <key>', 'the same key and texts are the same job, however often they are sent')
    .option('--json', 'write the job as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ millrace submit --model all-MiniLM-L6-v2 "How do I reset my password?" --wait
  $ head -100 texts.txt | millrace submit --model all-MiniLM-L6-v2 - --json | jq -r .id
  $ millrace submit --model my-classifier --image photo.jpg --image other.png --wait
  $ millrace submit --model all-MiniLM-L6-v2 "..." --webhook https://example.com/hook --metadata order=17`,
    )
    .action((texts: string[], options: SubmitCommandOptions) => submit(texts, options, io))
  return withConnection(command)
}

async function submit(texts: string[], options: SubmitCommandOptions, io: CommandIo): Promise<void> {
  const client = clientOf(options)
  let jobId: string | undefined
  const left = () => (jobId === undefined ? 'Interrupted.' : `The job goes on: millrace wait ${jobId}`)
  await interruptible(io, left, async (signal) => {
    const { idempotencyKey } = options
    const sending = { signal, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) }
    const job = hasFiles(texts, options)
      ? await client.submitFiles(await filesBody(options), sending)
      : await client.submit(bodyOf(await inputsOf(texts, io), options), sending)
    jobId = job.id
    if (!options.wait) {
      await write(io.stdout, `${options.json ? JSON.stringify(job) : jobLine(job)}\n`)
      return
    }
    await showSettled(io, client, job, { timeoutS: options.timeout, json: options.json === true, signal })
  })
}

/** @throws CommandFailure for texts beside files, for both kinds of files, and for neither */
function hasFiles(texts: readonly string[], { image, audio }: SubmitCommandOptions): boolean {
  const given = [texts.length > 0, image !== undefined, audio !== undefined].filter(Boolean)
  if (given.length === 1) return texts.length === 0
  throw new CommandFailure('Give texts, or --image, or --audio: one of the three.', exitCode.usage)
}

/** @throws CommandFailure for a file that cannot be read */
async function filesBody(options: SubmitCommandOptions): Promise<SubmitFilesBody> {
  const { image, audio } = options
  const files = await Promise.all((image ?? audio ?? []).map(blobOf))
  return { ...commonBody(options), ...(image ? { image: files } : { audio: files }) }
}

async function blobOf(path: string): Promise<Blob> {
  try {
    return new Blob([await readFile(path)])
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandFailure(`The file cannot be read: ${why}`, exitCode.usage)
  }
}

function bodyOf(inputs: string[], options: SubmitCommandOptions): SubmitBody {
  const [only = ''] = inputs
  return { ...commonBody(options), ...(inputs.length === 1 ? { input: only } : { inputs }) }
}

function commonBody(options: SubmitCommandOptions): Omit<SubmitBody, 'input' | 'inputs'> {
  const { model, truncate = false, encoding, priority, metadata, webhook } = options
  return {
    model,
    options: { truncate, ...(encoding === undefined ? {} : { encoding }) },
    ...(priority === undefined ? {} : { priority }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(webhook === undefined ? {} : { webhook: { url: webhook } }),
  }
}

async function inputsOf(texts: string[], { stdin }: CommandIo): Promise<string[]> {
  if (texts.length > 1 && texts.includes('-')) {
    throw new CommandFailure('"-" reads all texts from standard input: give it alone.', exitCode.usage)
  }
  if (texts[0] !== '-') return texts
  const chunks: Uint8Array[] = []
  for await (const chunk of stdin) chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
  const lines = Buffer.concat(chunks).toString().split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  if (lines.length === 0) throw new CommandFailure('Nothing came on standard input.', exitCode.usage)
  return lines
}
