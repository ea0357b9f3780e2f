/**
 * The composition root of an embedded fleet: lock, checks, Redis, gateway, workers, courier, in this order; closed in reverse.
 * It prints nothing (events do) and ends no process (main.ts does).
 */
import { type FleetPlan, metricsPort, type OwnRedis } from './fleet-plan.js'
import { LaunchError, StopRequested } from './launch-error.js'
import { acquireLock } from './lock-file.js'
import {
  courierMember,
  gatewayMember,
  type MemberOptions,
  redisMember,
  redisName,
  workerMember,
} from './members.js'
import { type PortUse, requirePorts } from './ports.js'
import { untilReady } from './readiness.js'
import { redisHost, requireRedis } from './redis-processes.js'
import { addressOf, isListening } from './redis-reply.js'
import { type Patience, StartDeadline } from './start-deadline.js'
import type { SupervisedProcess } from './supervised-process.js'

const connectTimeoutMs = 3000

export interface FleetOptions extends MemberOptions {
  readonly patience: Patience
}

export interface Fleet {
  /**
   * Resolves with the gateway's address when everything is ready.
   * @throws LaunchError (all is stopped by then); StopRequested after an early `close`
   */
  readonly started: Promise<string>
  /** Aborted from the moment `close` is called. */
  readonly closing: AbortSignal
  /** Stops everything, in reverse order of starting. Twice is fine; `force` makes a stop that is going on short. */
  close(options?: { force?: boolean }): Promise<void>
  /** For the launcher's own crash: ends at once what must not outlive it. Redis ends by its guard. */
  killNow(): void
}

/** What was started so far; the last group stops first, the members of one group stop together. */
interface Running {
  readonly groups: SupervisedProcess[][]
  releaseLock: () => void
}

/** Starts a fleet. `close` works from the first moment on. */
export function startFleet(options: FleetOptions): Fleet {
  const stop = new AbortController()
  const running: Running = { groups: [], releaseLock: () => {} }
  const stopAll = async () => {
    for (const group of running.groups.toReversed()) await stopGroup(group)
    running.releaseLock()
  }
  let stopped: Promise<void> | undefined
  const close: Fleet['close'] = async ({ force = false } = {}) => {
    stop.abort(new StopRequested('stopped before it was up'))
    stopped ??= stopAll()
    if (force) await stopGroup(running.groups.flat(), { force })
    await stopped
  }
  const started = bringUp(options, running, stop.signal).catch(async (error: unknown) => {
    await close()
    throw error
  })
  const killNow = () => {
    for (const member of running.groups.flat()) member.killNow()
  }
  return { started, closing: stop.signal, close, killNow }
}

async function bringUp(options: FleetOptions, running: Running, stop: AbortSignal): Promise<string> {
  const { plan } = options
  await prepare(options, running, stop)
  const deadline = new StartDeadline(options.patience, stop, options.on)
  const start = (group: SupervisedProcess[]) => {
    stop.throwIfAborted()
    running.groups.push(group)
    for (const member of group) member.start()
    return group.map((member) => deadline.until(member.name, member.ready))
  }
  try {
    await Promise.all(start(ownRedis(plan).map((redis) => redisMember(redis, options))))
    let url = ''
    const gateway = gatewayMember(options, (announced) => {
      url = announced
    })
    const workers = Array.from({ length: plan.workers }, (_, index) =>
      workerMember(index + 1, options, (name, said) => deadline.said(name, said)),
    )
    await Promise.all([...start([gateway]), ...start([...workers, courierMember(options)])])
    const serving = untilReady(url, deadline.signal, (said) => deadline.said('gateway', said))
    await deadline.until('gateway', serving)
    return url
  } finally {
    deadline.done()
  }
}

/** Everything that can be refused before a process is started. @throws LaunchError */
async function prepare(options: FleetOptions, running: Running, stop: AbortSignal): Promise<void> {
  const { plan, on } = options
  const lock = acquireLock(plan.dataDir)
  running.releaseLock = () => lock.release()
  if (ownRedis(plan).length > 0) await requireRedis(options.redisCommand)
  if (lock.tookOver) {
    on({ type: 'note', text: 'The last launcher here ended without cleaning up; waiting for its ports.' })
  }
  await requirePorts(portUses(plan), lock.tookOver ? plan.stopTimeoutMs : 0, options.now, stop)
  for (const redis of plan.redis) {
    if (redis.owned) continue
    const { address, name } = addressOf(redis.url)
    if (!(await isListening(address, connectTimeoutMs))) {
      throw new LaunchError(
        `Nothing answers at ${name}, which ${redis.role.toUpperCase()}_REDIS_URL names as the ${redis.role} Redis.`,
      )
    }
    on({ type: 'ready', name: redisName(redis.role), detail: `${name} (yours)`, tookMs: 0 })
  }
}

function ownRedis(plan: FleetPlan): OwnRedis[] {
  return plan.redis.filter((redis) => redis.owned)
}

function portUses(plan: FleetPlan): PortUse[] {
  const gateway: PortUse = {
    host: plan.host,
    port: plan.port,
    purpose: 'gateway',
    remedy: 'Choose another with `--port` (`npm start -- --port 8081`) or the setting PORT.',
  }
  const redis = ownRedis(plan).map(
    ({ role, port }): PortUse => ({
      host: redisHost,
      port,
      purpose: redisName(role),
      remedy:
        `Choose another with \`--${role}-redis-port\` (\`npm start -- --${role}-redis-port ${port + 100}\`), ` +
        `or name a Redis of your own in ${role.toUpperCase()}_REDIS_URL.`,
    }),
  )
  const metrics = Array.from(
    { length: plan.metrics.port === 0 ? 0 : plan.workers + 1 },
    (_, index): PortUse => ({
      host: plan.metrics.host,
      port: metricsPort(plan.metrics.port, index + 1),
      purpose: index === plan.workers ? 'metrics of the courier' : `metrics of worker-${index + 1}`,
      remedy:
        'Choose another with the setting METRICS_PORT (worker N uses METRICS_PORT + N - 1, the courier the next one).',
    }),
  )
  return [gateway, ...redis, ...metrics]
}

async function stopGroup(group: SupervisedProcess[], options?: { force: boolean }): Promise<void> {
  await Promise.all(group.map((member) => member.stop(options)))
}
