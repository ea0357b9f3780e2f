/** The `millrace` command: options, signals and the exit code. What the commands do is in their own files. */
import { ConfigError } from '@millrace/config'
import { Command, InvalidArgumentError } from 'commander'
import type { Fleet } from './fleet.js'
import { LaunchError, StopRequested } from './launch-error.js'
import { Screen } from './screen.js'
import { configFaultExit } from './supervise.js'
import { type UpOptions, up } from './up.js'

/** One Ctrl-C can arrive twice (from the terminal and, passed on, from npm); a person is slower than this. */
const sameSignalMs = 500

const screen = new Screen(
  { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
  { pretty: process.stdout.isTTY === true, colors: process.stdout.isTTY && process.stdout.hasColors() },
)

function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`)
    }
    return value
  }
}

async function runUp(options: UpOptions): Promise<void> {
  let fleet: Fleet | undefined
  let stopRequestedAt: number | undefined
  const stop = async (exitCode: number, words: string) => {
    const again = stopRequestedAt !== undefined
    if (stopRequestedAt !== undefined && performance.now() - stopRequestedAt < sameSignalMs) return
    stopRequestedAt = performance.now()
    screen.say(again ? 'Stopping at once.' : words)
    await fleet?.close({ force: again })
    end(exitCode)
  }
  process.on('SIGINT', () => stop(0, '\nStopping (Ctrl-C again: at once).'))
  process.on('SIGTERM', () => stop(0, 'Stopping.'))
  process.on('SIGHUP', () => stop(0, 'Stopping.'))
  // Nobody reads us any more (a closed terminal, `| head`): that is no reason to leave a fleet behind.
  process.stdout.on('error', () => stop(1, ''))
  process.stderr.on('error', () => stop(1, ''))
  process.on('exit', () => fleet?.killNow())
  try {
    const launch = await up(options, process.env, screen)
    fleet = launch.fleet
    await launch.done
  } catch (error) {
    if (error instanceof StopRequested || stopRequestedAt !== undefined) return
    tell(error)
    await fleet?.close()
    end(error instanceof ConfigError ? configFaultExit : 1)
  }
}

function tell(error: unknown): void {
  if (error instanceof LaunchError || error instanceof ConfigError) screen.fault(error.message)
  else screen.fault(error instanceof Error ? (error.stack ?? error.message) : String(error))
}

/** Ends when what was written is out. */
function end(exitCode: number): void {
  process.exitCode = exitCode
  process.stdout.write('', () => process.exit(exitCode))
}

const program = new Command('millrace')
  .description('A queue-driven inference fleet: a light gateway, workers, and a cache they all share.')
  .showHelpAfterError('(add --help for the options)')

program
  .command('up')
  .description(
    'Start a whole fleet on this machine: two Redis processes, a gateway, workers. Ctrl-C stops it.',
  )
  .option('--workers <n>', 'worker processes (default: 2, or 1 on a single core)', wholeNumber(1, 256))
  .option(
    '--port <n>',
    'port of the gateway; 0 picks a free one (default: the setting PORT, 8080)',
    wholeNumber(0, 65535),
  )
  .option(
    '--queue-redis-port <n>',
    'port of the queue Redis; 0 picks a free one',
    wholeNumber(0, 65535),
    6390,
  )
  .option(
    '--cache-redis-port <n>',
    'port of the cache Redis; 0 picks a free one',
    wholeNumber(0, 65535),
    6391,
  )
  .option(
    '--ready-timeout <seconds>',
    'give up when not everything is ready by then',
    wholeNumber(1, 86_400),
    600,
  )
  .option('--no-proof', 'do not embed three sentences at the start')
  .addHelpText(
    'after',
    `
Every other setting is an environment variable: see docs/configuration.md. With QUEUE_REDIS_URL or CACHE_REDIS_URL
set, that Redis is used and none is started in its place.

Examples:
  $ millrace up
  $ millrace up --workers 4 --port 9000
  $ QUEUE_REDIS_URL=redis://10.0.0.5:6379 millrace up --no-proof
  $ npm start -- --workers 4        the same, from a fresh clone; adds --no-install: never install system packages`,
  )
  .action((options: UpOptions) => runUp(options))

await program.parseAsync()
