/** Loading, refusing, closing, through real forked processes. Runs the built model process. */
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { childEnvironment } from './child-environment.js'
import { fakeVector } from './engines/fake.js'
import type { ModelEvent } from './events.js'
import {
  codes,
  exits,
  expectVectors,
  FakeModels,
  isAlive,
  item,
  items,
  misbehaving,
  starterOptions,
} from './load-fake-model.js'
import { loadModel } from './load-model.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const models = new FakeModels()
afterEach(() => models.closeAll())

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-model-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

describe('a loaded model', () => {
  it('answers many batches at once, each in its own order, over all its processes', async () => {
    const { model } = await models.load({}, { processes: 2 })
    expect(model.pids()).toHaveLength(2)
    expect(model.slots).toBe(4)
    expect(model.maxBatchItems).toBeUndefined()
    const batches = Array.from({ length: 20 }, (_, index) => [item(index), item(index, 5), item(index, 6, 7)])
    const results = await Promise.all(batches.map((batch) => model.runBatch(batch)))
    for (const [index, { outcomes }] of results.entries()) {
      expect(codes(outcomes)).toEqual(['ok', 'ok', 'ok'])
      expectVectors(batches[index] ?? [], outcomes)
    }
  })

  it('gives vectors with buffers of their own and a prediction time', async () => {
    const { model } = await models.load()
    const { outcomes, predictMs } = await model.runBatch(items(3))
    for (const outcome of outcomes) expect(outcome.ok && outcome.vector.buffer.byteLength).toBe(8 * 4)
    expect(predictMs).toBeGreaterThan(0)
  })

  it('answers an empty batch with nothing', async () => {
    const { model } = await models.load()
    expect(await model.runBatch([])).toEqual({ outcomes: [], predictMs: 0 })
  })

  it('passes no secret of its environment on to a model process', async () => {
    vi.stubEnv('ADMIN_KEY', 'secret')
    vi.stubEnv('QUEUE_REDIS_URL', 'redis://user:secret@somewhere')
    const passed = childEnvironment()
    vi.unstubAllEnvs()
    expect(passed.PATH).toBeDefined()
    expect(JSON.stringify(passed)).not.toContain('secret')
  })
})

describe('a model that cannot be loaded', () => {
  it.each([['throw', /told not to load/] as const, ['crash', /ended while loading/] as const])(
    'because its engine does %s is refused after three tries, and nothing is left running',
    async (load, message) => {
      const events: ModelEvent[] = []
      await expect(models.load({ load }, { on: (event) => events.push(event) })).rejects.toThrow(message)
      expect(events.map(({ type }) => type)).toEqual([...Array(3).fill('process-start-failed'), 'gave-up'])
    },
  )

  it('because loading hangs is refused within its limit', async () => {
    await expect(models.load({ load: 'hang' }, { loadTimeoutMs: 150 })).rejects.toThrow(
      /did not load within 150 ms/,
    )
  })

  it('because a file is missing is refused before any process is started', async () => {
    const events: ModelEvent[] = []
    const on = (event: ModelEvent) => events.push(event)
    await expect(models.load({}, { dir: join(scratch, 'none'), on })).rejects.toThrow(/does not exist/)
    await expect(loadModel({ ...starterOptions, dtype: 'fp32', on })).rejects.toThrow(
      /lacks onnx\/model.onnx/,
    )
    expect(events).toEqual([])
  })

  it('because it names no source is refused', async () => {
    await expect(loadModel({ ...starterOptions, dir: null })).rejects.toThrow(/neither a folder nor a hub id/)
  })

  it('any more makes every batch in hand reject instead of hang', async () => {
    // It loads once; the file that makes later loads fail is created by then.
    const { model, events } = await models.load({ loadOnceFile: join(scratch, 'loaded-once') })
    const lost = model.runBatch([item(misbehaving.crashId)])
    await expect(lost).rejects.toThrow(/could not be started 3 times/)
    await expect(model.runBatch([item(1)])).rejects.toThrow(/could not be started/)
    expect(events.at(-1)?.type).toBe('gave-up')
  })
})

describe('the device', () => {
  it('reaches the engine, is a fact of the model, and is part of its version', async () => {
    const cpu = await models.load({ onlyDevice: 'cpu' })
    const gpu = await models.load({ onlyDevice: 'cuda' }, { device: 'cuda' })
    expect([cpu.model.facts.device, gpu.model.facts.device]).toEqual(['cpu', 'cuda'])
    expect(gpu.model.facts.version).not.toBe(cpu.model.facts.version)
  })

  it('that the engine cannot use ends the start, and no other one is tried', async () => {
    const on = (event: ModelEvent) => {
      if (event.type === 'process-ready') throw new Error('it runs on another device')
    }
    await expect(models.load({ onlyDevice: 'cpu' }, { device: 'cuda', on })).rejects.toThrow(
      /^The model 'starter' is to run on 'cuda'.*runs on cpu, not on cuda/,
    )
  })
})

describe('the self-test', () => {
  it('makes a model whose answers depend on company run one item at a time', async () => {
    const { model, events } = await models.load({ companyChanges: true })
    expect(model.facts.batching.mode).toBe('one_at_a_time')
    expect(model.facts.batching.probe_difference).toBeGreaterThan(1e-4)
    expect(model.maxBatchItems).toBe(1)
    expect(events).toContainEqual(expect.objectContaining({ type: 'self-test', mode: 'one_at_a_time' }))
    const batch = [item(1), item(1, 2, 3)]
    const { outcomes } = await model.runBatch(batch)
    for (const [place, outcome] of outcomes.entries()) {
      const ids = batch[place]?.ids ?? Int32Array.of()
      expect(outcome.ok && outcome.vector).toEqual(fakeVector(ids, 8, ids.length))
    }
  })

  it('refuses such a model where batching is strict, and leaves nothing running', async () => {
    const events: ModelEvent[] = []
    const on = (event: ModelEvent) => events.push(event)
    await expect(models.load({ companyChanges: true }, { strictBatching: true, on })).rejects.toThrow(
      /refuses it/,
    )
    expect(exits(events)).toEqual(['stopped'])
  })
})

describe('closing', () => {
  it('ends a process that is just being started again', async () => {
    const { model, events } = await models.load({ holdLoadFile: join(scratch, 'loading') })
    const [pid = Number.NaN] = model.pids()
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(readdirSync(scratch)).toContain('loading.again'), {
      interval: 5,
      timeout: 5000,
    })
    await model.close()
    expect(exits(events)).toEqual(['crash'])
    expect(isAlive(Number(readFileSync(join(scratch, 'loading.again'), 'utf8')))).toBe(false)
  })

  it('lets the batches in hand finish, takes no more, and is fine twice', async () => {
    const { model, events } = await models.load({ batchMs: 20 })
    const pids = model.pids()
    const inHand = [model.runBatch([item(1)]), model.runBatch([item(2)]), model.runBatch([item(3)])]
    const closing = model.close()
    await expect(model.runBatch([item(4)])).rejects.toMatchObject({ code: 'shutting_down' })
    for (const batch of inHand) expect(codes((await batch).outcomes)).toEqual(['ok'])
    await closing
    await model.close()
    expect(pids.some(isAlive)).toBe(false)
    expect(exits(events)).toEqual(['stopped'])
  })

  it('waits no longer than its limit for a stuck batch', async () => {
    const { model } = await models.load()
    const pids = model.pids()
    const stuck = expect(model.runBatch([item(misbehaving.hangId)])).rejects.toMatchObject({
      code: 'shutting_down',
    })
    await model.close({ limitMs: 50 })
    await stuck
    expect(pids.some(isAlive)).toBe(false)
  })

  it('with force hurries a graceful close that waits', async () => {
    const { model } = await models.load()
    const stuck = expect(model.runBatch([item(misbehaving.hangId)])).rejects.toMatchObject({
      code: 'shutting_down',
    })
    const graceful = model.close({ limitMs: 60_000 })
    await model.close({ force: true })
    await Promise.all([graceful, stuck])
    expect(model.pids()).toEqual([])
  })
})
