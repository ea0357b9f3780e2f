/**
 * Owns: a real redis-server process for one test file: its port, its data folder, its faults. Its end is certain: by
 * `stop`, or by a guardian shell when the test process itself ends in any way. Knows nothing of Millrace's keys.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { eventually } from './eventually.js'
import { freePort } from './ports.js'
import { isAlive, killProcess } from './processes.js'
import { redisProcessId } from './redis-ping.js'

export interface RedisServerOptions {
  /** As redis.conf spells it: `64mb`. Default: no limit. */
  maxmemory?: string
  /** maxmemory-policy. Default `noeviction`. */
  policy?: string
  /** AOF with everysec; without it nothing is kept. Default false. */
  appendonly?: boolean
  /** A Redis Cluster of this node alone: it has all slots, and refuses what names several. Default false. */
  cluster?: boolean
  /** A folder of the caller's, which stays; by default a temporary one, removed by `stop`. */
  dir?: string
}

export interface RedisServer {
  readonly url: string
  /** The same server by its Unix socket. */
  readonly socketUrl: string
  readonly port: number
  /** Of the process that runs now, or ran last. */
  readonly pid: number
  readonly dir: string
  /** A new ioredis connection; `stop` closes it. Its connection errors are swallowed: the test asserts on answers. */
  client(options?: Omit<RedisOptions, 'replyMapping'>): Redis
  /** Ends the process and waits until it is gone. Port and data stay for `restart`. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Kills what runs and starts again on the same port and folder; resolves when it answers. */
  restart(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** For good: process, clients and the temporary folder. Twice is fine. */
  stop(): Promise<void>
}

/** For records and BullMQ: noeviction, AOF everysec. */
export function queueRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  return startRedis({ policy: 'noeviction', appendonly: true, ...options })
}

/** For results and claims: allkeys-lfu in 64 MB, nothing on disk. */
export function cacheRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  return startRedis({ policy: 'allkeys-lfu', maxmemory: '64mb', appendonly: false, ...options })
}

/** @throws Error with the server's own last words when it does not come up. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'millrace-redis-')))
  const temporary = options.dir === undefined
  try {
    return await startOnFreePort(dir, temporary, options)
  } catch (error) {
    if (temporary) await rm(dir, { recursive: true, force: true })
    throw error
  }
}

async function startOnFreePort(dir: string, temporary: boolean, options: RedisServerOptions) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      const child = await launch(port, dir, temporary, options)
      return control(child, port, dir, temporary, options)
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === 10) throw error
    }
  }
}

function control(
  first: ChildProcess,
  port: number,
  dir: string,
  temporary: boolean,
  options: RedisServerOptions,
): RedisServer {
  let child = first
  let stopped: Promise<void> | undefined
  const clients = new Set<Redis>()
  const pid = () => child.pid ?? 0
  const url = `redis://127.0.0.1:${port}`

  const server: RedisServer = {
    url,
    socketUrl: `unix://${socketOf(dir)}`,
    port,
    dir,
    get pid() {
      return pid()
    },
    client(clientOptions = {}) {
      const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null, ...clientOptions })
      client.on('error', () => {})
      clients.add(client)
      return client
    },
    kill: (signal = 'SIGKILL') => killProcess(pid(), signal),
    async restart() {
      if (stopped) throw new Error('this Redis was stopped for good')
      await killProcess(pid())
      child = await relaunch(port, dir, temporary, options)
    },
    pause: () => void process.kill(pid(), 'SIGSTOP'),
    resume: () => void process.kill(pid(), 'SIGCONT'),
    stop() {
      stopped ??= (async () => {
        for (const client of clients) client.disconnect()
        await killProcess(pid())
        if (temporary) await rm(dir, { recursive: true, force: true })
      })()
      return stopped
    },
  }
  return server
}

/** The port is ours still, but what was just killed may hold it a moment longer. */
async function relaunch(port: number, dir: string, temporary: boolean, options: RedisServerOptions) {
  const outcome = await eventually(
    () =>
      launch(port, dir, temporary, options).then(
        (child) => ({ child }),
        (error: unknown) => (error instanceof PortTaken ? undefined : { error }),
      ),
    { timeoutMs: 20_000, what: `a restart of Redis on port ${port}` },
  )
  if ('error' in outcome) throw outcome.error
  return outcome.child
}

class PortTaken extends Error {
  override readonly name = 'PortTaken'
}

async function launch(
  port: number,
  dir: string,
  temporary: boolean,
  options: RedisServerOptions,
): Promise<ChildProcess> {
  const child = spawn('redis-server', serverArguments(port, dir, options), {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (text: string) => {
      said.push(text)
      if (said.length > 50) said.shift()
    })
  }
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const { pid } = child
  if (pid === undefined) {
    throw new Error('redis-server cannot be started: is it installed?', { cause: await once(child, 'error') })
  }
  const guardian = guard(child, pid, temporary ? dir : undefined)
  const answers = async () => !isAlive(pid) || (await redisProcessId(port)) === pid
  try {
    await eventually(answers, { timeoutMs: 15_000, what: `an answer of redis-server on port ${port}` })
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  if (isAlive(pid)) {
    letGo(child, guardian)
    return child
  }
  await closed
  const words = said.join('')
  if (/Address already in use|Could not create server TCP listening/.test(words)) throw new PortTaken(words)
  throw new Error(`redis-server ended at its start:\n${words}`)
}

function socketOf(dir: string): string {
  return join(dir, 'redis.sock')
}

function serverArguments(port: number, dir: string, options: RedisServerOptions): string[] {
  const settings: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(port),
    unixsocket: socketOf(dir),
    dir,
    save: '',
    appendonly: options.appendonly ? 'yes' : 'no',
    appendfsync: 'everysec',
    rdbcompression: 'no',
    maxmemory: options.maxmemory ?? '0',
    'maxmemory-policy': options.policy ?? 'noeviction',
    'shutdown-timeout': '0',
    ...(options.cluster ? { 'cluster-enabled': 'yes', 'cluster-config-file': 'nodes.conf' } : {}),
  }
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

/**
 * A shell that waits on a pipe from this process and kills the server when the pipe closes: also when this process is
 * killed, crashes or forgets. Detached, so that Ctrl-C does not end the guardian before it has cleaned up.
 */
function guard(server: ChildProcess, pid: number, temporaryDir: string | undefined): ChildProcess {
  const script = 'read -r _; kill -9 "$1" 2>/dev/null; [ -n "$2" ] && rm -rf "$2"'
  const guardian = spawn('sh', ['-c', script, 'guardian', String(pid), temporaryDir ?? ''], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  guardian.on('error', () => {})
  guardian.stdin?.on('error', () => {})
  server.once('exit', () => guardian.kill('SIGKILL'))
  return guardian
}

/** Neither process keeps this one from ending. */
function letGo(server: ChildProcess, guardian: ChildProcess): void {
  server.unref()
  guardian.unref()
  for (const stream of [guardian.stdin, server.stdout, server.stderr]) {
    // The pipes are sockets, whose declared type does not say so.
    if (stream && 'unref' in stream && typeof stream.unref === 'function') stream.unref()
  }
}
