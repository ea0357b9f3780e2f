/**
 * The two Redis processes of an embedded fleet: their settings, their start, their readiness. The queue keeps
 * everything (noeviction, append-only file); the cache may forget anything (LFU eviction, nothing on disk).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { promisify } from 'node:util'
import { guard } from './guard.js'
import { LaunchError } from './launch-error.js'
import { pause } from './pause.js'
import { pingRedis } from './redis-reply.js'

export type RedisRole = 'queue' | 'cache'

export const redisHost = '127.0.0.1'
const pollMs = 50
const pingTimeoutMs = 2000

const roleSettings: Record<RedisRole, readonly string[]> = {
  queue: ['--maxmemory', '1gb', '--maxmemory-policy', 'noeviction', '--appendonly', 'yes'],
  cache: ['--maxmemory', '512mb', '--maxmemory-policy', 'allkeys-lfu', '--appendonly', 'no'],
}

export interface RedisPlace {
  readonly port: number
  readonly dir: string
  /** Path of a Unix socket that it listens on as well. */
  readonly socket?: string | undefined
}

/** Results are floats, which do not compress: a rewritten log is 3 % larger, for half of the rewrite's time. */
const logSettings = ['--appendfsync', 'everysec', '--rdbcompression', 'no']

/** @returns the command line of one Redis; it reads no configuration file */
export function redisArguments(role: RedisRole, { port, dir, socket }: RedisPlace): string[] {
  const common = [
    '--bind',
    redisHost,
    '--port',
    String(port),
    '--dir',
    dir,
    '--daemonize',
    'no',
    '--save',
    '',
  ]
  const listening = socket === undefined ? [] : ['--unixsocket', socket, '--unixsocketperm', '700']
  return [...common, ...listening, ...roleSettings[role], ...logSettings]
}

/** Starts one Redis with its data in its folder (made when missing), in a process group of its own. */
export function spawnRedis(command: string, role: RedisRole, place: RedisPlace): ChildProcess {
  mkdirSync(place.dir, { recursive: true })
  const child = spawn(command, redisArguments(role, place), {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (child.pid !== undefined) child.once('exit', guard(child.pid))
  return child
}

/** Resolves when Redis answers PING, also after it has read a long append-only file. */
export async function untilRedisAnswers(port: number, signal: AbortSignal): Promise<string> {
  while (!signal.aborted) {
    const reply = await pingRedis({ host: redisHost, port }, pingTimeoutMs).catch(() => '')
    if (reply === '+PONG') return `${redisHost}:${port}`
    await pause(pollMs, signal)
  }
  throw signal.reason
}

/** @throws LaunchError when there is no usable redis-server */
export async function requireRedis(command: string): Promise<void> {
  const advice =
    'Install Redis 6.2 or later (`apt-get install redis-server`, `brew install redis`; `npm start` does it where it ' +
    'may), or set QUEUE_REDIS_URL and CACHE_REDIS_URL to servers of your own.'
  const answer = await promisify(execFile)(command, ['--version']).catch(() => undefined)
  if (answer === undefined) throw new LaunchError(`There is no ${command} on the PATH. ${advice}`)
  const version = /\bv=(\d+)\.(\d+)/.exec(answer.stdout)
  if (version === null) return
  const [major, minor] = [Number(version[1]), Number(version[2])]
  if (major < 6 || (major === 6 && minor < 2)) {
    throw new LaunchError(`${command} is version ${major}.${minor}, which is too old. ${advice}`)
  }
}
