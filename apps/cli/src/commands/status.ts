/** `millrace status`: what the fleet serves and how busy it is; at a terminal drawn again until Ctrl-C. */
import type { Millrace } from '@millrace/client'
import { Command } from 'commander'
import { type Paint, plainPaint, terminalPaint } from '../paint.js'
import { pause } from '../pause.js'
import { seconds } from './arguments.js'
import { type CommandIo, processIo, write } from './command-io.js'
import { type ConnectionOptions, clientOf, withConnection } from './connection.js'
import { CommandFailure, exitCode } from './exit-code.js'
import { wordsOf } from './fault-words.js'
import { fleetTable, type ModelWithQueue, type Readiness, workerTable } from './fleet-table.js'
import { interruptible } from './interruptible.js'

interface StatusCommandOptions extends ConnectionOptions {
  readonly once?: boolean
  readonly json?: boolean
  readonly workers?: boolean
  readonly interval: number
}

interface FleetState {
  readonly readiness: Readiness
  readonly models: readonly ModelWithQueue[]
}

const readyzLimitMs = 10_000
/** A fault is worth no long wait where the next look comes in seconds. */
const retryForS = 1

export function statusCommand(io: CommandIo = processIo): Command {
  const command = new Command('status')
    .description('Show the models, their workers and queues; at a terminal, live until Ctrl-C.')
    .option('--workers', 'show each worker too: version, limits, speed')
    .option('--once', 'show it once')
    .option('--json', 'write it once, as JSON')
    .option('--interval <seconds>', 'how often to look', seconds(0.1, 3600), 2)
    .addHelpText(
      'after',
      `
Exits with 1 when the gateway is not ready, or cannot be reached.

Examples:
  $ millrace status
  $ millrace status --url https://embed.example.com --once
  $ millrace status --once --workers
  $ millrace status --json | jq '.models[] | {id, workers}'`,
    )
    .action((options: StatusCommandOptions) =>
      interruptible(
        io,
        () => '',
        (signal) => status(options, io, signal),
      ),
    )
  return withConnection(command)
}

async function status(options: StatusCommandOptions, io: CommandIo, signal: AbortSignal): Promise<void> {
  const client = clientOf(options, retryForS)
  if (!options.once && !options.json && io.stdout.isTTY === true) {
    const picture = async (paint: Paint) => pictureOf(await look(client, options, signal), options, paint)
    await watch(picture, options.interval * 1000, io, signal)
    return
  }
  const state = await look(client, options, signal)
  const text = options.json ? JSON.stringify(state) : pictureOf(state, options, plainPaint).join('\n')
  await write(io.stdout, `${text}\n`)
  if (!state.readiness.ready) throw new CommandFailure('', exitCode.failed)
}

function pictureOf(
  { models, readiness }: FleetState,
  { workers }: StatusCommandOptions,
  paint: Paint,
): string[] {
  return [...fleetTable(models, readiness, paint), ...(workers ? workerTable(models, paint) : [])]
}

async function look(
  client: Millrace,
  { url, key }: ConnectionOptions,
  signal: AbortSignal,
): Promise<FleetState> {
  const [models, readiness] = await Promise.all([client.models({ signal }), readinessOf(url, key, signal)])
  return { readiness, models }
}

/** Outside the API proper: 503 is an answer here, not a fault. */
async function readinessOf(url: string, key: string | undefined, signal: AbortSignal): Promise<Readiness> {
  const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {}
  const bound = AbortSignal.any([signal, AbortSignal.timeout(readyzLimitMs)])
  try {
    const answer = await fetch(`${url.replace(/\/+$/, '')}/readyz`, { headers, signal: bound })
    const said: unknown = await answer.json()
    const { queue_redis, cache_redis } = said as Partial<Record<keyof Readiness, unknown>>
    return { ready: answer.ok, queue_redis: flag(queue_redis), cache_redis: flag(cache_redis) }
  } catch {
    signal.throwIfAborted()
    return { ready: false }
  }
}

function flag(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

/** Draws over the last picture, until the signal aborts. @throws its reason */
async function watch(
  picture: (paint: Paint) => Promise<string[]>,
  intervalMs: number,
  { stdout }: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const paint =
    'hasColors' in stdout && (stdout as NodeJS.WriteStream).hasColors() ? terminalPaint : plainPaint
  let drawn = 0
  while (!signal.aborted) {
    const lines = await picture(paint).catch((error: unknown) => [paint.red(wordsOf(error))])
    if (signal.aborted) break
    lines.push('', paint.dim(`every ${intervalMs / 1000} s; Ctrl-C ends it`))
    const up = drawn > 0 ? `\x1b[${drawn}A` : ''
    await write(stdout, `${up}\x1b[J${lines.map((line) => cut(line, stdout.columns)).join('\n')}\n`)
    drawn = lines.length
    await pause(intervalMs, signal)
  }
  signal.throwIfAborted()
}

/** A line that wraps would be two, and the next picture would be drawn one too low. Colours are zero wide. */
function cut(line: string, columns = 80): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colours begin with one
  const parts = line.split(/(\x1b\[[0-9;]*m)/)
  let left = columns - 1
  return parts
    .map((part, i) => {
      if (i % 2 === 1) return part
      const shown = part.slice(0, Math.max(0, left))
      left -= shown.length
      return shown
    })
    .join('')
}
