/** For the tests of this package: the fake engine behind real forked processes. Never built. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import type { EncodedItem } from './engine.js'
import { type FakeOptions, fakeVector } from './engines/fake.js'
import type { ModelEvent } from './events.js'
import { builtInEngine, type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'
import type { ItemOutcome } from './open-batch.js'

export const starter = fileURLToPath(new URL('../../../models/all-MiniLM-L6-v2', import.meta.url))
// Ids that the starter model's tokenizer never gives, so the self-test passes.
export const misbehaving = { crashId: 900_001, hangId: 900_002, throwId: 900_003, holdId: 900_004 }

export const starterOptions: LoadModelOptions = {
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

/** Loads models and closes all of them at the end of a test. */
export class FakeModels {
  readonly #open: LoadedModel[] = []

  async load(
    engineOptions: Partial<FakeOptions> = {},
    options: Partial<LoadModelOptions> = {},
  ): Promise<{ model: LoadedModel; events: ModelEvent[] }> {
    const events: ModelEvent[] = []
    const model = await loadModel({
      ...starterOptions,
      engineModule: builtInEngine('fake'),
      engineOptions: { ...misbehaving, ...engineOptions },
      on: (event) => events.push(event),
      ...options,
    })
    this.#open.push(model)
    return { model, events }
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((model) => model.close({ force: true })))
  }
}

export const item = (...ids: number[]): EncodedItem => ({ ids: Int32Array.from(ids) })
export const items = (count: number): EncodedItem[] =>
  Array.from({ length: count }, (_, index) => item(1, index + 10, 2))
export const codes = (outcomes: readonly ItemOutcome[]) =>
  outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))
export const exits = (events: readonly ModelEvent[]) =>
  events.flatMap((event) => (event.type === 'process-exit' ? [event.reason] : []))

export function expectVectors(batch: readonly EncodedItem[], outcomes: readonly ItemOutcome[]): void {
  expect(outcomes).toHaveLength(batch.length)
  for (const [place, outcome] of outcomes.entries()) {
    if (outcome.ok) expect(outcome.vector).toEqual(fakeVector(batch[place]?.ids ?? Int32Array.of()))
  }
}

/** A zombie counts as dead: it only waits for whoever adopted it. */
export function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`
  if (existsSync('/proc/self/stat')) {
    return existsSync(stat) && !/^\d+ \(.*\) [ZX]/.test(readFileSync(stat, 'utf8'))
  }
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
