/**
 * A fleet under all that clients do holds no more after minutes than before: gateway, both processes of a worker, courier.
 * `npm run soak -- --minutes 30` watches for longer (docs/memory.md).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eventually, startFleet } from '@millrace/testkit'
import { afterEach, expect, it, vi } from 'vitest'
import { root } from '../api.js'
import { closeReceivers, loopbackEnv, startReceiver } from '../receiver.js'
import { type Load, startLoad } from './load.js'
import { isFlat, memorySlope, type Reading } from './slope.js'

// biome-ignore lint/suspicious/noUndeclaredEnvVars: no build depends on it
const minutes = Number(process.env.SOAK_MINUTES ?? 2.5)
/** Code is compiled, pools and caches fill up: a matter of work done, which a busy machine needs longer for. */
const warmUp = { answers: 5000, minutes: Math.min(1, minutes * 0.4), limitMs: 4 * 60_000 }
const readEveryMs = minutes > 10 ? 15_000 : 3000

vi.setConfig({ testTimeout: (minutes + 2) * 60_000 + warmUp.limitMs })
afterEach(() => closeReceivers())

it.runIf(process.platform === 'linux')(`${minutes} minutes of load leave nothing behind`, async () => {
  const receiver = await startReceiver()
  const hook = fileURLToPath(new URL('./collect-on-signal.cjs', import.meta.url))
  vi.stubEnv('NODE_OPTIONS', `--require=${hook}`)
  const env = {
    LOG_LEVEL: 'error',
    // Full before the warm-up is over.
    LRU_BYTES: String(2 << 20),
    JOB_TTL_S: '40',
    JOB_DEADLINE_S: '40',
    WEBHOOK_JOB_TTL_S: '40',
    ...loopbackEnv,
  }
  const fleet = await startFleet({ root, couriers: 1, env, cacheMaxmemory: '64mb' })
  try {
    const worker = fleet.workers[0]?.pid ?? 0
    const pids = {
      gateway: fleet.gateways[0]?.pid ?? 0,
      'worker, main': worker,
      'worker, model process': childOf(worker),
      courier: fleet.couriers[0]?.pid ?? 0,
    }
    const load = startLoad(fleet.url, `${receiver.url}/soak`)
    const readings = await Promise.race([warmedUp(load).then(() => watch(pids)), endedEarly(load)])
    await load.stop()
    console.table({ ...load.counts })
    console.table(Object.fromEntries(Object.entries(readings).map(([name, list]) => [name, shown(list)])))
    for (const [kind, count] of Object.entries(load.counts)) {
      expect({ kind, answered: count > 0 }).toEqual({ kind, answered: true })
    }
    await eventually(() => receiver.got.length > 0, { what: 'webhooks' })
    const growing = Object.entries(readings).filter(([, list]) => !isFlat(list))
    expect(growing.map(([name, list]) => ({ name, ...shown(list) }))).toEqual([])
    // The same processes to the end: none was replaced by a fresh one.
    expect(childOf(worker)).toBe(pids['worker, model process'])
  } finally {
    vi.unstubAllEnvs()
    await fleet.stop()
  }
})

async function endedEarly(load: Load): Promise<never> {
  await load.failed
  throw new Error('the load ended before its time')
}

async function warmedUp({ counts }: Load): Promise<void> {
  await delay(warmUp.minutes * 60_000)
  const answered = () => Object.values(counts).reduce((sum, count) => sum + count, 0)
  await eventually(() => answered() >= warmUp.answers, {
    what: `${warmUp.answers} answers`,
    timeoutMs: warmUp.limitMs,
  })
}

async function watch<Name extends string>(pids: Record<Name, number>): Promise<Record<Name, Reading[]>> {
  const names = Object.keys(pids) as Name[]
  const readings = Object.fromEntries(names.map((name) => [name, [] as Reading[]])) as Record<Name, Reading[]>
  const startedMs = performance.now()
  const minutesIn = () => (performance.now() - startedMs) / 60_000
  while (minutesIn() < minutes - warmUp.minutes) {
    await delay(readEveryMs / 2)
    for (const name of names) process.kill(pids[name], 'SIGUSR2')
    // They collect at the end of what they are doing.
    await delay(readEveryMs / 2)
    for (const name of names) readings[name].push({ minutes: minutesIn(), mb: privateMb(pids[name]) })
  }
  return readings
}

/** Pages that this process has written to, and shares with nobody. */
function privateMb(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return Number(/^Private_Dirty: +(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1024
}

function childOf(pid: number): number {
  const children = readFileSync(join('/proc', `${pid}`, 'task', `${pid}`, 'children'), 'utf8')
  return Number(children.trim().split(' ')[0])
}

function shown(list: readonly Reading[]) {
  const { slope, atLeast } = memorySlope(list)
  const round = (value: number | undefined) => Math.round((value ?? Number.NaN) * 10) / 10
  return {
    first: round(list[0]?.mb),
    last: round(list.at(-1)?.mb),
    'MB/min': round(slope),
    'at least': round(atLeast),
  }
}
