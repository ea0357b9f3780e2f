/** Options for a fleet of stand-ins, and a record of what happens in it. For tests only. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FleetOptions } from '../fleet.js'
import type { FleetEvent } from '../fleet-event.js'
import type { FleetPlan, RedisPlan } from '../fleet-plan.js'
import { freePort } from '../ports.js'

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export class EventRecord {
  readonly all: FleetEvent[] = []
  readonly #waiting: { match: (event: FleetEvent) => boolean; resolve: (event: FleetEvent) => void }[] = []

  readonly on = (event: FleetEvent): void => {
    this.all.push(event)
    for (const waiting of this.#waiting) if (waiting.match(event)) waiting.resolve(event)
  }

  /** Resolves with the first event of this type, from now on, of the process called `name`. */
  next(type: FleetEvent['type'], name?: string): Promise<FleetEvent> {
    const match = (event: FleetEvent) =>
      event.type === type && (name === undefined || ('name' in event && event.name === name))
    return new Promise((resolve) => this.#waiting.push({ match, resolve }))
  }
}

export interface StandInFleet {
  readonly options: FleetOptions
  readonly events: EventRecord
  readonly dataDir: string
  /** What the stand-ins wrote: `[role, what, pid]`. */
  history(): [string, string, number][]
}

export async function standInFleet(
  redis: readonly RedisPlan[],
  behaviour: Record<string, string> = {},
  plan: Partial<FleetPlan> = {},
): Promise<StandInFleet> {
  const dataDir = mkdtempSync(join(tmpdir(), 'millrace-fleet-'))
  const log = join(dataDir, 'history')
  const events = new EventRecord()
  const options: FleetOptions = {
    plan: {
      dataDir,
      host: '127.0.0.1',
      port: await freePort('127.0.0.1'),
      metrics: { host: '127.0.0.1', port: 0 },
      redis,
      workers: 2,
      models: ['m'],
      stopTimeoutMs: 5000,
      ...plan,
    },
    variables: { ...behaviour, STAND_IN_LOG: log },
    entries: { gateway: file('gateway.mjs'), worker: file('worker.mjs'), courier: file('courier.mjs') },
    redisCommand: 'redis-server',
    restartLimits: { firstDelayMs: 10, maxDelayMs: 20, healthyMs: 60_000, startAttempts: 3 },
    patience: { remindMs: 10_000, limitMs: 20_000 },
    now: () => performance.now(),
    on: events.on,
  }
  return { options, events, dataDir, history: () => readHistory(log) }
}

function readHistory(log: string): [string, string, number][] {
  try {
    const lines = readFileSync(log, 'utf8').trim().split('\n')
    return lines.map((line) => {
      const [role = '', what = '', pid = ''] = line.split(' ')
      return [role, what, Number(pid)]
    })
  } catch {
    return []
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
