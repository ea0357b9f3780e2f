/** Crashes, time limits, kills and restarts, through real forked processes. Runs the built model process. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  codes,
  exits,
  expectVectors,
  FakeModels,
  isAlive,
  item,
  items,
  misbehaving,
  starter,
} from './load-fake-model.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const models = new FakeModels()
afterEach(() => models.closeAll())

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-model-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

describe('an input that ends its process', () => {
  it('fails alone with input_crashes_model; its batch mates succeed and the process is back', async () => {
    const { model, events } = await models.load()
    const batch = items(9)
    batch.splice(6, 0, item(1, misbehaving.crashId, 2))
    const { outcomes } = await model.runBatch(batch)
    expect(codes(outcomes)).toEqual([
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'input_crashes_model',
      'ok',
      'ok',
      'ok',
    ])
    expectVectors(batch, outcomes)
    expect(events).toContainEqual(expect.objectContaining({ type: 'input-crashed-model', tokens: 3 }))
    expect(codes((await model.runBatch(items(2))).outcomes)).toEqual(['ok', 'ok'])
    expect(model.pids()).toHaveLength(1)
  })

  it('that came alone is tried twice, not more', async () => {
    const { model, events } = await models.load()
    const { outcomes } = await model.runBatch([item(misbehaving.crashId)])
    expect(codes(outcomes)).toEqual(['input_crashes_model'])
    expect(exits(events)).toEqual(['crash', 'crash'])
  })

  it('does not stand alone: two in one batch both fail, the rest succeeds', async () => {
    const { model } = await models.load()
    const crash = item(misbehaving.crashId)
    const { outcomes } = await model.runBatch([crash, ...items(3), crash])
    expect(codes(outcomes)).toEqual(['input_crashes_model', 'ok', 'ok', 'ok', 'input_crashes_model'])
  })

  it('puts no blame on the batch that was only ready', async () => {
    const { model, events } = await models.load()
    const [first, second] = await Promise.all([
      model.runBatch([item(misbehaving.crashId)]),
      model.runBatch([item(5)]),
    ])
    expect(codes(first.outcomes)).toEqual(['input_crashes_model'])
    expect(codes(second.outcomes)).toEqual(['ok'])
    expect(events.filter((event) => event.type === 'input-crashed-model')).toHaveLength(1)
  })
})

describe('the time limit of a batch', () => {
  it('ends a stuck process; the stuck input fails with inference_timeout, its mates succeed', async () => {
    const { model, events } = await models.load({}, { batchTimeoutMs: 200 })
    const batch = [item(3), item(misbehaving.hangId), item(4)]
    const { outcomes } = await model.runBatch(batch)
    expect(codes(outcomes)).toEqual(['ok', 'inference_timeout', 'ok'])
    expectVectors(batch, outcomes)
    expect(new Set(exits(events))).toEqual(new Set(['timeout']))
  })

  it('starts only when the process can begin the batch: a queue of slow batches is not killed', async () => {
    const { model, events } = await models.load({ batchMs: 50 }, { batchTimeoutMs: 250 })
    const results = await Promise.all(Array.from({ length: 6 }, (_, index) => model.runBatch([item(index)])))
    expect(results.flatMap(({ outcomes }) => codes(outcomes))).toEqual(Array(6).fill('ok'))
    expect(exits(events)).toEqual([])
  })
})

describe('kill -9 from outside', () => {
  it('in the middle of a batch loses nothing', async () => {
    const holdFile = join(scratch, 'held')
    const { model, events } = await models.load({ holdFile })
    const batch = [...items(4), item(misbehaving.holdId)]
    const running = model.runBatch(batch)
    const ready = model.runBatch([item(77)])
    await vi.waitFor(() => expect(existsSync(holdFile)).toBe(true), { interval: 5, timeout: 10_000 })
    const [pid] = model.pids()
    process.kill(pid ?? Number.NaN, 'SIGKILL')
    expect(codes((await running).outcomes)).toEqual(Array(5).fill('ok'))
    expectVectors(batch, (await running).outcomes)
    expect(codes((await ready).outcomes)).toEqual(['ok'])
    expect(exits(events)).toEqual(['crash'])
    expect(model.pids()).not.toContain(pid)
  })

  it('of an idle process is followed by a new one', async () => {
    const { model, events } = await models.load()
    const [pid] = model.pids()
    process.kill(pid ?? Number.NaN, 'SIGKILL')
    await vi.waitFor(
      () => expect(events.filter(({ type }) => type === 'process-ready')).toHaveLength(2),
      5000,
    )
    expect(codes((await model.runBatch([item(1)])).outcomes)).toEqual(['ok'])
  })

  it('of the worker ends its model process too', async () => {
    const script = `
      const { loadModel, builtInEngine } = await import('@millrace/model')
      const model = await loadModel({ alias: 'a', task: 'feature-extraction', dtype: 'q8', dir: process.argv[1],
        dataDir: '/nowhere', processes: 1, threads: 1, batchTimeoutMs: 10000, strictBatching: false,
        engineModule: builtInEngine('fake') })
      console.log(model.pids()[0])`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script, starter], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once('data', (text) => resolve(Number(text)))
    })
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 10_000)
  })
})

describe('SIGINT and SIGTERM to the whole group', () => {
  it('do not end a model process: its worker decides', async () => {
    const { model, events } = await models.load()
    const [pid = Number.NaN] = model.pids()
    process.kill(pid, 'SIGINT')
    process.kill(pid, 'SIGTERM')
    expect(codes((await model.runBatch([item(1)])).outcomes)).toEqual(['ok'])
    expect(model.pids()).toEqual([pid])
    expect(exits(events)).toEqual([])
  })
})

describe('an engine that throws', () => {
  it('fails the one input with inference_failed; its mates succeed and no process is lost', async () => {
    const { model, events } = await models.load()
    const batch = [...items(5), item(misbehaving.throwId), item(4)]
    const { outcomes } = await model.runBatch(batch)
    expect(codes(outcomes)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'inference_failed', 'ok'])
    expectVectors(batch, outcomes)
    expect(exits(events)).toEqual([])
    expect(events).toContainEqual(expect.objectContaining({ type: 'input-failed', tokens: 1 }))
  })
})
