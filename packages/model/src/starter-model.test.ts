/** The starter model as a worker has it, beside the reference library's vectors. Runs the built model process. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { ModelEvent } from './events.js'
import { type LoadedModel, loadModel } from './load-model.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const dir = fileURLToPath(new URL('../../../models/all-MiniLM-L6-v2', import.meta.url))
const events: ModelEvent[] = []
let model: LoadedModel
beforeAll(async () => {
  model = await loadModel({
    alias: 'all-MiniLM-L6-v2',
    task: 'feature-extraction',
    dtype: 'q8',
    dir,
    dataDir: '/nowhere',
    processes: 1,
    threads: 1,
    batchTimeoutMs: 30_000,
    strictBatching: true,
    on: (event) => events.push(event),
  })
}, 30_000)
afterAll(() => model.close())

it('is what its files say: 384 dimensions, 256 tokens, answers that do not depend on company', () => {
  expect(model.facts).toMatchObject({
    task: 'feature-extraction',
    dtype: 'q8',
    dimensions: 384,
    max_tokens: 256,
    batching: { mode: 'batched' },
  })
  expect(model.facts.batching.probe_difference).toBeLessThan(1e-5)
  expect(model.facts.version).toMatch(/^[0-9a-f]{64}$/)
  expect(events.map(({ type }) => type)).toEqual(['process-ready', 'self-test'])
})

it('agrees with the reference library: mean cosine at least 0.998, none below 0.995', async () => {
  const parity: { items: { text: string; embedding: number[] }[] } = JSON.parse(
    await readFile(join(dir, 'parity.json'), 'utf8'),
  )
  expect(parity.items).toHaveLength(24)
  const cosines: number[] = []
  for (let first = 0; first < parity.items.length; first += 4) {
    const some = parity.items.slice(first, first + 4)
    const batch = some.map(({ text }) => model.encode({ input: text, truncate: true }))
    const { outcomes } = await model.runBatch(batch)
    outcomes.forEach((outcome, place) => {
      cosines.push(outcome.ok ? cosine(outcome.vector, some[place]?.embedding ?? []) : 0)
    })
  }
  expect(cosines).toHaveLength(24)
  expect(Math.min(...cosines)).toBeGreaterThanOrEqual(0.995)
  expect(cosines.reduce((sum, value) => sum + value, 0) / cosines.length).toBeGreaterThanOrEqual(0.998)
}, 30_000)

function cosine(a: Float32Array, b: readonly number[]): number {
  let dot = 0
  for (const [index, value] of a.entries()) dot += value * (b[index] ?? 0)
  return dot / (Math.hypot(...a) * Math.hypot(...b))
}
