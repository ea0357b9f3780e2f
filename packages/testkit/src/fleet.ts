/**
 * Owns: a whole fleet of real processes on free ports (two Redis, gateways, workers), for e2e tests and the benchmark.
 * Knows the apps only as built entry points and environment variables, as an operator does.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from './eventually.js'
import { killProcess } from './processes.js'
import { cacheRedis, queueRedis, type RedisServer } from './redis-server.js'

export interface FleetOptions {
  /** The repository's root: apps/*\/dist and millrace.json are found from there. */
  root: string
  workers?: number
  gateways?: number
  couriers?: number
  /** More settings for every process. */
  env?: Record<string, string>
  cacheMaxmemory?: string
  /** Another main module in place of the worker's own. */
  workerEntry?: string
}

/** One gateway, worker or courier. */
export interface FleetProcess {
  readonly name: string
  readonly pid: number
  /** A gateway's API, or a worker's or courier's metrics and health. */
  readonly url: string
  /** What it wrote to stdout and stderr so far. */
  output(): string
  /** Ends it and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<number | null>
}

export interface Fleet {
  readonly queueRedis: RedisServer
  readonly cacheRedis: RedisServer
  readonly gateways: readonly FleetProcess[]
  readonly workers: readonly FleetProcess[]
  readonly couriers: readonly FleetProcess[]
  /** The first gateway's URL. */
  readonly url: string
  startWorker(env?: Record<string, string>): Promise<FleetProcess>
  startGateway(env?: Record<string, string>): Promise<FleetProcess>
  startCourier(env?: Record<string, string>): Promise<FleetProcess>
  stop(): Promise<void>
}

const startLimitMs = 60_000
/** As `millrace up` and the images start it. */
const workerHeap = ['--max-semi-space-size=2']

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-fleet-'))
  const queue = await queueRedis({ maxmemory: '1gb' })
  const cache = await cacheRedis({ maxmemory: options.cacheMaxmemory ?? '256mb' })
  const gateways: FleetProcess[] = []
  const workers: FleetProcess[] = []
  const couriers: FleetProcess[] = []
  const settings = {
    // As `millrace up` has it.
    QUEUE_REDIS_URL: queue.socketUrl,
    CACHE_REDIS_URL: cache.socketUrl,
    MILLRACE_CONFIG: join(options.root, 'millrace.json'),
    MILLRACE_DATA_DIR: dataDir,
    PORT: '0',
    METRICS_PORT: '0',
    LOG_LEVEL: 'info',
    // As `millrace up` and the images start it.
    MALLOC_ARENA_MAX: '1',
    ...options.env,
  }
  const started = { gateway: 0, worker: 0, courier: 0 }
  const start = async (app: keyof typeof started, list: FleetProcess[], env: Record<string, string> = {}) => {
    const own = join(options.root, 'apps', app, 'dist', 'main.js')
    const entry = app === 'worker' ? (options.workerEntry ?? own) : own
    started[app] += 1
    const execArgv = app === 'worker' ? workerHeap : []
    const process = await startProcess(`${app}-${started[app]}`, entry, { ...settings, ...env }, execArgv)
    list.push(process)
    return process
  }
  const fleet: Fleet = {
    queueRedis: queue,
    cacheRedis: cache,
    gateways,
    workers,
    couriers,
    get url() {
      return gateways[0]?.url ?? ''
    },
    startWorker: (env) => start('worker', workers, env),
    startGateway: (env) => start('gateway', gateways, env),
    startCourier: (env) => start('courier', couriers, env),
    async stop() {
      await Promise.all([...couriers, ...workers, ...gateways].map((one) => one.kill('SIGTERM')))
      await Promise.all([queue.stop(), cache.stop()])
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all([
      ...Array.from({ length: options.gateways ?? 1 }, () => fleet.startGateway()),
      ...Array.from({ length: options.workers ?? 1 }, () => fleet.startWorker()),
      ...Array.from({ length: options.couriers ?? 0 }, () => fleet.startCourier()),
    ])
  } catch (error) {
    await fleet.stop()
    throw error
  }
  return fleet
}

/** Starts one app and waits until it says where it listens. @throws Error with its last words when it ends instead */
async function startProcess(
  name: string,
  entry: string,
  env: Record<string, string>,
  execArgv: string[],
): Promise<FleetProcess> {
  const child = fork(entry, [], {
    execArgv,
    env: { ...inherited(), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said.push(text)
      if (said.length > 5000) said.splice(0, 1000)
    })
  }
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  const output = () => said.join('')
  const url = await listening(child, name, output)
  return {
    name,
    pid: child.pid ?? 0,
    url,
    output,
    async kill(signal = 'SIGKILL') {
      if (child.exitCode === null && child.signalCode === null) await killProcess(child.pid ?? 0, signal)
      return exited
    },
  }
}

async function listening(child: ChildProcess, name: string, output: () => string): Promise<string> {
  let url: string | undefined
  child.on('message', (message) => {
    if (isListening(message)) url = message.url
  })
  const found = await eventually(() => url ?? (child.exitCode === null ? undefined : 'ended'), {
    timeoutMs: startLimitMs,
    what: `${name} to listen`,
  })
  if (found === 'ended') throw new Error(`${name} ended with ${child.exitCode}:\n${output()}`)
  return found
}

function isListening(message: unknown): message is { type: 'listening'; url: string } {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'listening'
}

/** What any process of this machine needs; no setting of ours leaks in from outside. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_OPTIONS']
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}
