/** A loaded model through real forked processes, most of it with the fake engine. Runs the built model process. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { EncodedItem } from './engine.js'
import { type FakeOptions, fakeVector } from './engines/fake.js'
import type { ModelEvent } from './events.js'
import { builtInEngine, type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'
import type { ItemOutcome } from './open-batch.js'

const starter = fileURLToPath(new URL('../../../models/all-MiniLM-L6-v2', import.meta.url))
// Ids that the starter model's tokenizer never gives, so the self-test passes.
const misbehaving = { crashId: 900_001, hangId: 900_002, throwId: 900_003, holdId: 900_004 }

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-model-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

const open: LoadedModel[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close({ force: true })))
})

async function loadFake(
  engineOptions: Partial<FakeOptions> = {},
  options: Partial<LoadModelOptions> = {},
): Promise<{ model: LoadedModel; events: ModelEvent[] }> {
  const events: ModelEvent[] = []
  const model = await loadModel({
    alias: 'fake',
    task: 'feature-extraction',
    dtype: 'q8',
    dir: starter,
    dataDir: scratch,
    processes: 1,
    threads: 1,
    batchTimeoutMs: 10_000,
    strictBatching: false,
    engineModule: builtInEngine('fake'),
    engineOptions: { ...misbehaving, ...engineOptions },
    on: (event) => events.push(event),
    ...options,
  })
  open.push(model)
  return { model, events }
}

const item = (...ids: number[]): EncodedItem => ({ ids: Int32Array.from(ids) })
const items = (count: number): EncodedItem[] =>
  Array.from({ length: count }, (_, index) => item(1, index + 10, 2))
const codes = (outcomes: readonly ItemOutcome[]) =>
  outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))
const exits = (events: readonly ModelEvent[]) =>
  events.flatMap((event) => (event.type === 'process-exit' ? [event.reason] : []))

function expectVectors(batch: readonly EncodedItem[], outcomes: readonly ItemOutcome[]): void {
  expect(outcomes).toHaveLength(batch.length)
  for (const [place, outcome] of outcomes.entries()) {
    if (outcome.ok) expect(outcome.vector).toEqual(fakeVector(batch[place]?.ids ?? Int32Array.of()))
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('a loaded model', () => {
  it('answers many batches at once, each in its own order, over all its processes', async () => {
    const { model } = await loadFake({}, { processes: 2 })
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
    const { model } = await loadFake()
    const { outcomes, predictMs } = await model.runBatch(items(3))
    for (const outcome of outcomes) expect(outcome.ok && outcome.vector.buffer.byteLength).toBe(8 * 4)
    expect(predictMs).toBeGreaterThan(0)
  })

  it('answers an empty batch with nothing', async () => {
    const { model } = await loadFake()
    expect(await model.runBatch([])).toEqual({ outcomes: [], predictMs: 0 })
  })

  it('passes no secret of its environment on to a model process', async () => {
    const { childEnvironment } = await import('./child-environment.js')
    vi.stubEnv('ADMIN_KEY', 'secret')
    vi.stubEnv('QUEUE_REDIS_URL', 'redis://user:secret@somewhere')
    const passed = childEnvironment()
    vi.unstubAllEnvs()
    expect(passed.PATH).toBeDefined()
    expect(JSON.stringify(passed)).not.toContain('secret')
  })
})

describe('an input that ends its process', () => {
  it('fails alone with input_crashes_model; its batch mates succeed and the process is back', async () => {
    const { model, events } = await loadFake()
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
    const { model, events } = await loadFake()
    const { outcomes } = await model.runBatch([item(misbehaving.crashId)])
    expect(codes(outcomes)).toEqual(['input_crashes_model'])
    expect(exits(events)).toEqual(['crash', 'crash'])
  })

  it('does not stand alone: two in one batch both fail, the rest succeeds', async () => {
    const { model } = await loadFake()
    const crash = item(misbehaving.crashId)
    const { outcomes } = await model.runBatch([crash, ...items(3), crash])
    expect(codes(outcomes)).toEqual(['input_crashes_model', 'ok', 'ok', 'ok', 'input_crashes_model'])
  })

  it('puts no blame on the batch that was only ready', async () => {
    const { model, events } = await loadFake()
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
    const { model, events } = await loadFake({}, { batchTimeoutMs: 250 })
    const batch = [item(3), item(misbehaving.hangId), item(4)]
    const { outcomes } = await model.runBatch(batch)
    expect(codes(outcomes)).toEqual(['ok', 'inference_timeout', 'ok'])
    expectVectors(batch, outcomes)
    expect(new Set(exits(events))).toEqual(new Set(['timeout']))
  })

  it('starts only when the process can begin the batch: a queue of slow batches is not killed', async () => {
    const { model, events } = await loadFake({ batchMs: 60 }, { batchTimeoutMs: 400 })
    const results = await Promise.all(Array.from({ length: 12 }, (_, index) => model.runBatch([item(index)])))
    expect(results.flatMap(({ outcomes }) => codes(outcomes))).toEqual(Array(12).fill('ok'))
    expect(exits(events)).toEqual([])
  })
})

describe('kill -9 from outside', () => {
  it('in the middle of a batch loses nothing', async () => {
    const holdFile = join(scratch, 'held')
    const { model, events } = await loadFake({ holdFile })
    const batch = [...items(4), item(misbehaving.holdId)]
    const running = model.runBatch(batch)
    const ready = model.runBatch([item(77)])
    await vi.waitFor(() => expect(existsSync(holdFile)).toBe(true), { interval: 5 })
    const [pid] = model.pids()
    process.kill(pid ?? Number.NaN, 'SIGKILL')
    expect(codes((await running).outcomes)).toEqual(Array(5).fill('ok'))
    expectVectors(batch, (await running).outcomes)
    expect(codes((await ready).outcomes)).toEqual(['ok'])
    expect(exits(events)).toEqual(['crash'])
    expect(model.pids()).not.toContain(pid)
  })

  it('of an idle process is followed by a new one', async () => {
    const { model, events } = await loadFake()
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
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 5000)
  })
})

describe('SIGINT and SIGTERM to the whole group', () => {
  it('do not end a model process: its worker decides', async () => {
    const { model, events } = await loadFake()
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
    const { model, events } = await loadFake()
    const batch = [...items(5), item(misbehaving.throwId), item(4)]
    const { outcomes } = await model.runBatch(batch)
    expect(codes(outcomes)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'inference_failed', 'ok'])
    expectVectors(batch, outcomes)
    expect(exits(events)).toEqual([])
    expect(events).toContainEqual(expect.objectContaining({ type: 'input-failed', tokens: 1 }))
  })
})

describe('a model that cannot be loaded', () => {
  it.each([['throw', /told not to load/] as const, ['crash', /ended while loading/] as const])(
    'because its engine does %s is refused after three tries, and nothing is left running',
    async (load, message) => {
      const events: ModelEvent[] = []
      await expect(loadFake({ load }, { on: (event) => events.push(event) })).rejects.toThrow(message)
      expect(events.map(({ type }) => type)).toEqual([...Array(3).fill('process-start-failed'), 'gave-up'])
    },
  )

  it('because loading hangs is refused within its limit', async () => {
    await expect(loadFake({ load: 'hang' }, { loadTimeoutMs: 150 })).rejects.toThrow(
      /did not load within 150 ms/,
    )
  })

  it('because a file is missing is refused before any process is started', async () => {
    const events: ModelEvent[] = []
    const on = (event: ModelEvent) => events.push(event)
    await expect(loadFake({}, { dir: join(scratch, 'none'), on })).rejects.toThrow(/does not exist/)
    await expect(loadModel({ ...baseOptions, dtype: 'fp32', on })).rejects.toThrow(/lacks onnx\/model.onnx/)
    expect(events).toEqual([])
  })

  it('because it names no source is refused', async () => {
    await expect(loadModel({ ...baseOptions, dir: null })).rejects.toThrow(/neither a folder nor a hub id/)
  })

  it('any more makes every batch in hand reject instead of hang', async () => {
    // It loads once; the file that makes later loads fail is created by then.
    const { model, events } = await loadFake({ loadOnceFile: join(scratch, 'loaded-once') })
    const lost = model.runBatch([item(misbehaving.crashId)])
    await expect(lost).rejects.toThrow(/could not be started 3 times/)
    await expect(model.runBatch([item(1)])).rejects.toThrow(/could not be started/)
    expect(events.at(-1)?.type).toBe('gave-up')
  })
})

const baseOptions: LoadModelOptions = {
  alias: 'starter',
  task: 'feature-extraction',
  dtype: 'q8',
  dir: starter,
  dataDir: '/nowhere',
  processes: 1,
  threads: 1,
  batchTimeoutMs: 10_000,
  strictBatching: false,
}

describe('the self-test', () => {
  it('makes a model whose answers depend on company run one item at a time', async () => {
    const { model, events } = await loadFake({ companyChanges: true })
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
    await expect(loadFake({ companyChanges: true }, { strictBatching: true, on })).rejects.toThrow(
      /refuses it/,
    )
    expect(exits(events)).toEqual(['stopped'])
  })
})

describe('closing', () => {
  it('lets the batches in hand finish, takes no more, and is fine twice', async () => {
    const { model, events } = await loadFake({ batchMs: 20 })
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
    const { model } = await loadFake()
    const pids = model.pids()
    const stuck = expect(model.runBatch([item(misbehaving.hangId)])).rejects.toMatchObject({
      code: 'shutting_down',
    })
    await model.close({ limitMs: 50 })
    await stuck
    expect(pids.some(isAlive)).toBe(false)
  })

  it('with force hurries a graceful close that waits', async () => {
    const { model } = await loadFake()
    const stuck = expect(model.runBatch([item(misbehaving.hangId)])).rejects.toMatchObject({
      code: 'shutting_down',
    })
    const graceful = model.close({ limitMs: 60_000 })
    await model.close({ force: true })
    await Promise.all([graceful, stuck])
    expect(model.pids()).toEqual([])
  })
})
