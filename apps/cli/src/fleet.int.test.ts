import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Fleet, startFleet } from './fleet.js'
import type { FleetPlan, RedisPlan } from './fleet-plan.js'
import { StopRequested } from './launch-error.js'
import { isRunning, type StandInFleet, standInFleet } from './stand-in/fleet-options.js'

/** A port that takes connections is all the launcher asks of a Redis that is not its own. */
let redis: Server
let given: RedisPlan[]
let fleet: Fleet | undefined
let standIns: StandInFleet | undefined

beforeEach(async () => {
  redis = createServer().listen(0, '127.0.0.1')
  await once(redis, 'listening')
  const url = `redis://127.0.0.1:${(redis.address() as AddressInfo).port}`
  given = [
    { owned: false, role: 'queue', url },
    { owned: false, role: 'cache', url },
  ]
})
afterEach(async () => {
  await fleet?.close({ force: true })
  redis.close()
  if (standIns) rmSync(standIns.dataDir, { recursive: true, force: true })
})

async function start(behaviour: Record<string, string> = {}, plan: Partial<FleetPlan> = {}) {
  standIns = await standInFleet(given, behaviour, plan)
  fleet = startFleet(standIns.options)
  return { ...standIns, fleet }
}

/** No process that wrote into the history runs any more, and the lock is free. */
function expectNothingLeft({ history, dataDir }: StandInFleet) {
  expect(history().filter(([, , pid]) => isRunning(pid))).toEqual([])
  expect(existsSync(join(dataDir, 'up.lock'))).toBe(false)
}

describe('a fleet that is up', () => {
  test('stops workers and courier first, then the gateway, and leaves nothing running', async () => {
    const run = await start()
    expect(await run.fleet.started).toBe(`http://127.0.0.1:${run.options.plan.port}`)
    await run.fleet.close()
    const stops = run.history().filter(([, what]) => what === 'stopped')
    const roles = stops.map(([role]) => role)
    expect(roles.slice(0, 3).sort()).toEqual(['courier', 'worker', 'worker'])
    expect(roles.slice(3)).toEqual(['gateway'])
    expectNothingLeft(run)
  })

  test('can be closed twice', async () => {
    const run = await start()
    await run.fleet.started
    await Promise.all([run.fleet.close(), run.fleet.close()])
    await run.fleet.close()
    expectNothingLeft(run)
  })

  test('starts a worker again that was killed', async () => {
    const run = await start()
    await run.fleet.started
    const [, , pid] = run.history().find(([role]) => role === 'worker') ?? ['', '', 0]
    const [restarting, ready] = [run.events.next('restarting'), run.events.next('ready')]
    process.kill(pid, 'SIGKILL')
    expect(await restarting).toMatchObject({ ending: 'was ended by SIGKILL', delayMs: 10 })
    expect(await ready).toMatchObject({ name: expect.stringMatching(/^worker-[12]$/) })
    expect(run.history().filter(([role, what]) => role === 'worker' && what === 'started')).toHaveLength(3)
  })

  test('refuses a second launcher in the same folder, and goes on', async () => {
    const run = await start()
    await run.fleet.started
    await expect(startFleet(run.options).started).rejects.toThrow('running already')
    expect(run.history().every(([, , pid]) => isRunning(pid))).toBe(true)
  })

  test('is ended by a forced close when a process does not stop', async () => {
    const run = await start({ STAND_IN_WORKER: 'ignores-stop' }, { stopTimeoutMs: 600_000 })
    await run.fleet.started
    const stopping = run.events.next('stopping', 'worker-1')
    const closed = run.fleet.close()
    await stopping
    await run.fleet.close({ force: true })
    await closed
    expectNothingLeft(run)
  })

  test('kills a process that passes its time to stop', async () => {
    const run = await start({ STAND_IN_GATEWAY: 'ignores-stop' }, { stopTimeoutMs: -1900 })
    await run.fleet.started
    await run.fleet.close()
    expect(run.events.all).toContainEqual({ type: 'killed', name: 'gateway', afterMs: 100 })
    expectNothingLeft(run)
  })
})

describe('a fleet that cannot start', () => {
  test('names a port that is taken, and starts nothing', async () => {
    const { port } = redis.address() as AddressInfo
    const run = await start({}, { port })
    await expect(run.fleet.started).rejects.toThrow(`Port ${port} on 127.0.0.1`)
    expect(run.history()).toEqual([])
    expectNothingLeft(run)
  })

  test('names the Redis that does not answer, without its password', async () => {
    given = [{ owned: false, role: 'cache', url: 'redis://:secret@127.0.0.1:1' }]
    const run = await start()
    await expect(run.fleet.started).rejects.toThrow(
      'Nothing answers at 127.0.0.1:1, which CACHE_REDIS_URL names as the cache Redis.',
    )
    expectNothingLeft(run)
  })

  test('says what to do when there is no redis-server', async () => {
    const dir = '/nowhere'
    given = [{ owned: true, role: 'queue', url: 'redis://127.0.0.1:1', port: 1, dir }]
    standIns = await standInFleet(given)
    fleet = startFleet({ ...standIns.options, redisCommand: 'no-such-redis-server' })
    await expect(fleet.started).rejects.toThrow(/no no-such-redis-server on the PATH.*Install Redis 6\.2/)
    expectNothingLeft(standIns)
  })

  test('gives the last words of a gateway whose configuration is wrong, and stops the rest', async () => {
    const run = await start({ STAND_IN_GATEWAY: 'config-fault' })
    await expect(run.fleet.started).rejects.toThrow(
      /gateway ended with status 78: its configuration is wrong.*PORT: must be a number/s,
    )
    expectNothingLeft(run)
  })

  test('gives up a worker that fails at start-up again and again', async () => {
    const run = await start({ STAND_IN_WORKER: 'crash' }, { workers: 1 })
    await expect(run.fleet.started).rejects.toThrow(
      'worker-1 ended with status 3: it failed 3 times in a row',
    )
    expect(run.history().filter(([role]) => role === 'worker')).toHaveLength(3)
    expectNothingLeft(run)
  })

  test('says after a while what is missing and why, and gives up at the limit', async () => {
    standIns = await standInFleet(given, { STAND_IN_WORKER: 'never-ready' }, { workers: 1 })
    fleet = startFleet({ ...standIns.options, patience: { remindMs: 1500, limitMs: 2500 } })
    await expect(fleet.started).rejects.toThrow(
      /Not up after 2\.5 s\. Still missing:\n.*worker-1: 503 no model yet/,
    )
    expect(standIns.events.all).toContainEqual({
      type: 'waiting',
      seconds: 1.5,
      missing: ['worker-1: 503 no model yet'],
    })
    expectNothingLeft(standIns)
  })

  test('stops what was started when it is closed before it is up', async () => {
    const run = await start({ STAND_IN_WORKER: 'never-ready' })
    await run.events.next('ready', 'gateway')
    await run.fleet.close()
    await expect(run.fleet.started).rejects.toBeInstanceOf(StopRequested)
    expectNothingLeft(run)
  })
})
