/** What `millrace up` will run, decided from options and configuration before anything is started. Pure. */
import { join, resolve } from 'node:path'
import type { Config } from '@millrace/config'
import { type RedisPlace, type RedisRole, redisHost } from './redis-processes.js'

/** The variables the launcher was started with; they are passed on to the children. */
export type Variables = Readonly<Record<string, string | undefined>>

export interface OwnRedis extends RedisPlace {
  readonly owned: true
  readonly role: RedisRole
  /** By its socket, where it has one: a shorter way than the port's. */
  readonly url: string
}

/** A Redis the user runs: never started, never stopped. */
export interface GivenRedis {
  readonly owned: false
  readonly role: RedisRole
  readonly url: string
}

export type RedisPlan = OwnRedis | GivenRedis

export interface FleetPlan {
  readonly dataDir: string
  readonly host: string
  readonly port: number
  /** The port of the first worker's metrics and health, or 0 for any. */
  readonly metrics: { readonly host: string; readonly port: number }
  readonly redis: readonly RedisPlan[]
  readonly workers: number
  readonly models: readonly string[]
  readonly stopTimeoutMs: number
}

export const redisVariable = { queue: 'QUEUE_REDIS_URL', cache: 'CACHE_REDIS_URL' } as const

export function ownRedisUrl(port: number): string {
  return `redis://${redisHost}:${port}`
}

export function socketUrl(path: string): string {
  return `unix://${path.split('/').map(encodeURIComponent).join('/')}`
}

/** Which Redis roles the user has given a server for. */
export function givenRoles(variables: Variables): RedisRole[] {
  const roles: RedisRole[] = ['queue', 'cache']
  return roles.filter((role) => (variables[redisVariable[role]] ?? '') !== '')
}

/**
 * @param config loaded with the launcher's own choices as overrides, so every port in it is final
 * @param sockets whether Unix sockets can be made in the data folder
 */
export function planFleet(
  config: Config,
  given: readonly RedisRole[],
  workers: number,
  sockets: boolean,
): FleetPlan {
  const dataDir = resolve(config.MILLRACE_DATA_DIR)
  const redis = (['queue', 'cache'] as const).map((role): RedisPlan => {
    const url = config[redisVariable[role]]
    if (given.includes(role)) return { owned: false, role, url }
    const place = { port: Number(new URL(url).port), dir: join(dataDir, `redis-${role}`) }
    if (!sockets) return { owned: true, role, ...place, url }
    const socket = join(dataDir, `${role}.sock`)
    return { owned: true, role, ...place, socket, url: socketUrl(socket) }
  })
  return {
    dataDir,
    host: config.HOST,
    port: config.PORT,
    metrics: { host: config.METRICS_HOST, port: config.METRICS_PORT },
    redis,
    workers,
    models: config.served,
    stopTimeoutMs: config.STOP_TIMEOUT_MS,
  }
}

/** The environment of a gateway or worker: the launcher's own, with what the plan decides on top. */
export function childVariables(variables: Variables, plan: FleetPlan): Record<string, string> {
  const passed = Object.entries(variables).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  const decided = plan.redis.map(({ role, url }) => [redisVariable[role], url] as const)
  return Object.fromEntries([...passed, ...decided, ['PORT', String(plan.port)]])
}

/** Workers on one machine cannot share a fixed metrics port: each gets the next one. 0 stays "any free one". */
export function metricsPort(base: number, workerNumber: number): number {
  return base === 0 ? 0 : base + workerNumber - 1
}
