/** `millrace up` at a terminal: options, signals and the exit code. What it does is in ../up.ts. */
import { Command } from 'commander'
import type { Fleet } from '../fleet.js'
import { StopRequested } from '../launch-error.js'
import { Screen } from '../screen.js'
import { type UpOptions, up } from '../up.js'
import { wholeNumber } from './arguments.js'
import { faultOf } from './fault-words.js'

/** One Ctrl-C can arrive twice (from the terminal and, passed on, from npm); a person is slower than this. */
const sameSignalMs = 500

export function upCommand(): Command {
  return new Command('up')
    .description(
      'Start a whole fleet on this machine: two Redis processes, a gateway, workers, a courier. Ctrl-C stops it.',
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
}

async function runUp(options: UpOptions): Promise<void> {
  const screen = new Screen(
    { out: (text) => process.stdout.write(text), err: (text) => process.stderr.write(text) },
    { pretty: process.stdout.isTTY === true, colors: process.stdout.isTTY && process.stdout.hasColors() },
  )
  let fleet: Fleet | undefined
  let stopRequestedAt: number | undefined
  const stop = async (code: number, words: string) => {
    const again = stopRequestedAt !== undefined
    if (stopRequestedAt !== undefined && performance.now() - stopRequestedAt < sameSignalMs) return
    stopRequestedAt = performance.now()
    screen.say(again ? 'Stopping at once.' : words)
    await fleet?.close({ force: again })
    end(code)
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
    const { words, code } = faultOf(error)
    screen.fault(words)
    await fleet?.close()
    end(code)
  }
}

/** Ends when what was written is out. */
function end(code: number): void {
  process.exitCode = code
  process.stdout.write('', () => process.exit(code))
}
