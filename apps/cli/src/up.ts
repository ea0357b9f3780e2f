/** `millrace up`: from options to a running, proven fleet. Signals and the exit code are main.ts's. */
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { loadConfig } from '@millrace/config'
import { type Fleet, startFleet } from './fleet.js'
import { givenRoles, ownRedisUrl, planFleet, redisVariable, type Variables } from './fleet-plan.js'
import { LaunchError } from './launch-error.js'
import { canHoldSockets, freePort } from './ports.js'
import { prove, wantsKey } from './prove.js'
import { type RedisRole, redisHost } from './redis-processes.js'
import type { Screen } from './screen.js'

const remindMs = 60_000
const proofLimitMs = 60_000
const noKey =
  'This fleet has API keys: give one in MILLRACE_KEY (scopes submit and read) to have it prove itself.'

export interface UpOptions {
  readonly workers?: number
  readonly port?: number
  readonly queueRedisPort: number
  readonly cacheRedisPort: number
  readonly readyTimeout: number
  readonly proof: boolean
}

/** Two, as far as the machine has cores for them. */
export function defaultWorkers(cores: number = availableParallelism()): number {
  return Math.max(1, Math.min(2, cores))
}

/**
 * @returns the fleet, as soon as there is something to close, and `done`, which settles when it is up and proven
 * @throws ConfigError, LaunchError
 */
export async function up(options: UpOptions, variables: Variables, screen: Screen) {
  const given = givenRoles(variables)
  const overrides: Record<string, string> = {}
  if (options.port !== undefined) overrides.PORT = String(options.port)
  const ports: Record<RedisRole, number> = { queue: options.queueRedisPort, cache: options.cacheRedisPort }
  for (const role of ['queue', 'cache'] as const) {
    if (given.includes(role)) continue
    overrides[redisVariable[role]] = ownRedisUrl(ports[role] === 0 ? await freePort(redisHost) : ports[role])
  }
  const wanted = loadConfig(variables, overrides)
  // A gateway that is started again must come back where clients know it, so "any port" is decided here, once.
  const port = wanted.PORT === 0 ? await freePort(wanted.HOST) : wanted.PORT
  const config = { ...wanted, PORT: port }
  const sockets = await canHoldSockets(config.MILLRACE_DATA_DIR)
  const plan = planFleet(config, given, options.workers ?? defaultWorkers(), sockets)
  const now = () => performance.now()
  const fleet = startFleet({
    plan,
    variables,
    entries: {
      gateway: entryOf('@millrace/gateway/main'),
      worker: entryOf('@millrace/worker/main'),
      courier: entryOf('@millrace/courier/main'),
    },
    redisCommand: 'redis-server',
    patience: { remindMs, limitMs: options.readyTimeout * 1000 },
    now,
    on: (event) => screen.event(event),
  })
  const embedder = plan.models.find((alias) => config.models.get(alias)?.task === 'feature-extraction')
  const done = finish(fleet, options, embedder, variables.MILLRACE_KEY ?? '', screen, now)
  return { fleet, done }
}

async function finish(
  fleet: Fleet,
  options: UpOptions,
  model: string | undefined,
  key: string,
  screen: Screen,
  now: () => number,
) {
  const url = await fleet.started
  if (model === undefined) return
  if (options.proof) {
    if (key === '' && (await wantsKey(url, fleet.closing))) screen.say(noKey)
    else screen.proof(await prove({ url, key }, model, proofLimitMs, now, fleet.closing))
  }
  screen.directions(url, model)
}

function entryOf(name: string): string {
  try {
    return createRequire(import.meta.url).resolve(name)
  } catch (error) {
    throw new LaunchError(`${name} is not built. Run \`npm run build\`, or \`npm start\`.`, { cause: error })
  }
}
