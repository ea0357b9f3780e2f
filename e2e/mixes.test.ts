/** Whatever mix of hits, duplicates, misses and items under way a request holds, its answer is the uncached one. */
import { join } from 'node:path'
import { loadModel } from '@millrace/model'
import { type Fleet, startFleet } from '@millrace/testkit'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { jobOf, model, post, root, vectorsOf } from './api.js'

let fleet: Fleet
const pool = Array.from({ length: 400 }, (_, i) => `${'mill '.repeat(i % 7)}number ${i}`)
const truth = new Map<string, number[]>()

beforeAll(async () => {
  fleet = await startFleet({ root, workers: 2 })
  const engine = await loadModel({
    alias: model,
    task: 'feature-extraction',
    dtype: 'q8',
    dir: join(root, 'models', model),
    dataDir: join(root, '.millrace'),
    processes: 1,
    threads: 1,
    batchTimeoutMs: 30_000,
    strictBatching: true,
  })
  for (const text of pool) {
    const { outcomes } = await engine.runBatch([engine.encode({ input: text, truncate: false })])
    if (!outcomes[0]?.ok) throw new Error(`the engine failed '${text}'`)
    truth.set(text, [...outcomes[0].vector])
  }
  await engine.close()
})
afterAll(() => fleet?.stop())

it('equals the uncached answer, item by item, also while others ask for the same', async () => {
  const start = { at: 0 }
  const text = fc.integer({ min: 0, max: 24 })
  const request = fc.array(text, { minLength: 1, maxLength: 40 })
  // Requests of one round are sent together, so that they join each other; a window moves over the pool, so that
  // each round finds some texts known and some new.
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 6 }), fc.nat(12), async (round, step) => {
      start.at = (start.at + step) % (pool.length - 25)
      const from = start.at
      const all = round.map((picks) => picks.map((pick) => pool[from + pick] ?? ''))
      const jobs = await Promise.all(
        all.map((inputs) => post(fleet.url, { model, inputs }, { prefer: 'wait=60' })),
      )
      for (const [r, inputs] of all.entries()) {
        const answer = jobs[r]
        const vectors = answer ? vectorsOf(jobOf(answer)) : []
        expect(vectors).toHaveLength(inputs.length)
        for (const [i, vector] of vectors.entries()) {
          const expected = truth.get(inputs[i] ?? '') ?? []
          expect(Math.max(...vector.map((x, d) => Math.abs(x - (expected[d] ?? Number.NaN))))).toBeLessThan(
            1e-5,
          )
        }
      }
    }),
    { numRuns: 60 },
  )
  const computed = await Promise.all(
    fleet.workers.map(
      async ({ url }) =>
        (await (await fetch(`${url}/metrics`)).text()).match(/millrace_batch_items_sum\{[^}]*\} (\d+)/)?.[1],
    ),
  )
  const total = computed.reduce((sum, items) => sum + Number(items ?? 0), 0)
  // Two workers, overlapping requests: no text is ever computed twice.
  expect(total).toBeGreaterThan(0)
  expect(total).toBeLessThanOrEqual(pool.length)
})
