/** The processes of a fleet, each as something to supervise: how it is started and when it counts as ready. */
import { type ChildProcess, fork } from 'node:child_process'
import type { OnFleetEvent } from './fleet-event.js'
import { childVariables, type FleetPlan, metricsPort, type OwnRedis, type Variables } from './fleet-plan.js'
import { untilListening, untilReady } from './readiness.js'
import { spawnRedis, untilRedisAnswers } from './redis-processes.js'
import { defaultRestartLimits, type RestartLimits, RestartPolicy } from './supervise.js'
import { SupervisedProcess } from './supervised-process.js'

/** A stopping child has its own limit (STOP_TIMEOUT_MS), and this much more before it is killed. */
const stopMarginMs = 2000
const redisStopTimeoutMs = 10_000

export interface MemberOptions {
  readonly plan: FleetPlan
  /** The environment the launcher was started with. */
  readonly variables: Variables
  /** Files to fork: the main modules of the apps. */
  readonly entries: { readonly gateway: string; readonly worker: string; readonly courier: string }
  readonly redisCommand: string
  readonly restartLimits?: RestartLimits
  readonly now: () => number
  readonly on: OnFleetEvent
}

export function redisMember(redis: OwnRedis, options: MemberOptions): SupervisedProcess {
  return new SupervisedProcess({
    ...common(options),
    name: redisName(redis.role),
    spawn: () => spawnRedis(options.redisCommand, redis.role, redis),
    untilReady: (_child, signal) => untilRedisAnswers(redis.port, signal),
    stopTimeoutMs: redisStopTimeoutMs,
    quiet: true,
  })
}

export function redisName(role: string): string {
  return `${role} redis`
}

/** @param onListening hears the gateway's address each time it listens */
export function gatewayMember(options: MemberOptions, onListening: (url: string) => void): SupervisedProcess {
  return new SupervisedProcess({
    ...common(options),
    name: 'gateway',
    spawn: () => forkChild(options.entries.gateway, childVariables(options.variables, options.plan)),
    untilReady: async (child, signal) => {
      const url = await untilListening(child, signal)
      onListening(url)
      return url
    },
    stopTimeoutMs: options.plan.stopTimeoutMs + stopMarginMs,
  })
}

/** @param onWaiting hears why the worker is not ready yet */
export function workerMember(
  number: number,
  options: MemberOptions,
  onWaiting: (name: string, said: string) => void,
): SupervisedProcess {
  const { plan, variables } = options
  const name = `worker-${number}`
  const port = metricsPort(plan.metrics.port, number)
  return new SupervisedProcess({
    ...common(options),
    name,
    spawn: () =>
      forkChild(
        options.entries.worker,
        { ...childVariables(variables, plan), METRICS_PORT: String(port) },
        workerHeap,
      ),
    untilReady: async (child, signal) => {
      const url = await untilListening(child, signal)
      await untilReady(url, signal, (said) => onWaiting(name, said))
      return `${plan.models.join(', ')} loaded`
    },
    stopTimeoutMs: plan.stopTimeoutMs + stopMarginMs,
  })
}

export function courierMember(options: MemberOptions): SupervisedProcess {
  const { plan, variables } = options
  // The port after the workers'.
  const port = metricsPort(plan.metrics.port, plan.workers + 1)
  return new SupervisedProcess({
    ...common(options),
    name: 'courier',
    spawn: () =>
      forkChild(options.entries.courier, { ...childVariables(variables, plan), METRICS_PORT: String(port) }),
    untilReady: async (child, signal) => {
      await untilListening(child, signal)
      return 'delivers webhooks'
    },
    stopTimeoutMs: plan.stopTimeoutMs + stopMarginMs,
  })
}

/** One heap of glibc's for all threads: one each would keep 5 MB more per process (docs/memory.md). */
const allocator = { MALLOC_ARENA_MAX: '1' }
/** A worker's main process holds little and for a short time (docs/memory.md). */
const workerHeap = ['--max-semi-space-size=2']

function common({ restartLimits, now, on }: MemberOptions) {
  return { policy: new RestartPolicy(restartLimits ?? defaultRestartLimits, now), now, on }
}

/**
 * In a process group of its own, so that a terminal's Ctrl-C reaches the launcher alone, which then stops things in
 * order. The IPC channel also tells the child when the launcher is gone.
 */
function forkChild(entry: string, env: Record<string, string>, execArgv: string[] = []): ChildProcess {
  return fork(entry, [], {
    env: { ...allocator, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv,
  })
}
