import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Task } from '@millrace/contracts'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { costOf, type EncodedItem } from './engine.js'
import type { LoadedModel } from './load-model.js'
import { type MeasureOptions, measureBatches } from './measured-batches.js'
import type { ItemOutcome } from './open-batch.js'
import { openTask } from './tasks/index.js'

const folderOf = (name: string) => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url))
let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'millrace-measured-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

/** A model whose clock moves by what a pass costs: 0.6 ms, and 0.2 ms per token. */
async function modelUnderTest(
  change: { task?: Task; dir?: string; version?: string; noise?: boolean; fails?: boolean } = {},
) {
  const {
    task = 'feature-extraction',
    dir = 'all-MiniLM-L6-v2',
    version = 'v1',
    noise = false,
    fails = false,
  } = change
  const batches: EncodedItem[][] = []
  let clock = 0
  const opened = await openTask(folderOf(dir), task)
  const model: Pick<LoadedModel, 'facts' | 'tokenizer' | 'probe' | 'runBatch'> = {
    facts: { task, version, device: 'cpu' } as LoadedModel['facts'],
    tokenizer: opened.tokenizer,
    probe: (text, place = 0) => opened.encode(opened.probe(text, place)),
    runBatch: async (batch) => {
      batches.push([...batch])
      const tokens = batch.reduce((sum, item) => sum + costOf(item), 0)
      clock += (0.6 + 0.2 * tokens) * (noise ? 1 + ((batches.length * 7) % 5) : 1)
      const outcome: ItemOutcome = fails
        ? { ok: false, error: { code: 'inference_failed', detail: 'it cannot' } }
        : { ok: true, vector: new Float32Array(1) }
      return { outcomes: batch.map(() => outcome), predictMs: 1 }
    },
  }
  const measure = (options: Partial<MeasureOptions> = {}) =>
    measureBatches(model as LoadedModel, {
      dataDir,
      threads: 1,
      maxItems: 32,
      maxArea: 1024,
      now: () => clock,
      ...options,
    })
  return { batches, measure, tokenizer: model.tokenizer }
}

const keptFiles = () => readdirSync(join(dataDir, 'batching'))

it('a batch size is measured once per host, and kept for every later start', async () => {
  const first = await modelUnderTest()
  expect(await first.measure()).toEqual({ area: 128, tokensPerS: 4885, kept: false })
  expect(first.batches.length).toBeGreaterThanOrEqual(18)
  const later = await modelUnderTest()
  expect(await later.measure()).toEqual({ area: 128, tokensPerS: 4885, kept: true })
  expect(later.batches).toEqual([])
  expect(keptFiles()).toHaveLength(1)
})

it('workers that start together measure once between them', async () => {
  const all = await Promise.all([modelUnderTest(), modelUnderTest(), modelUnderTest()])
  const found = await Promise.all(all.map(({ measure }) => measure()))
  expect(found.map(({ kept }) => kept).sort()).toEqual([false, true, true])
  expect(all.filter(({ batches }) => batches.length > 0)).toHaveLength(1)
})

it('another version of the model, or another number of threads, is measured for itself', async () => {
  for (const model of [await modelUnderTest(), await modelUnderTest({ version: 'v2' })])
    expect(await model.measure()).toMatchObject({ kept: false })
  expect(await (await modelUnderTest()).measure({ threads: 2 })).toMatchObject({ kept: false })
  expect(keptFiles()).toHaveLength(3)
})

it('what a busy machine said is not kept', async () => {
  const { measure } = await modelUnderTest({ noise: true })
  await expect(measure()).rejects.toThrow('too busy')
  expect(keptFiles()).toEqual([])
  expect(await (await modelUnderTest()).measure()).toMatchObject({ kept: false })
})

it('a kept file that makes no sense is measured again', async () => {
  const { measure } = await modelUnderTest()
  await measure()
  for (const file of keptFiles()) writeFileSync(join(dataDir, 'batching', file), '{"area":-1}')
  expect(await measure()).toEqual({ area: 128, tokensPerS: 4885, kept: false })
})

it('a model that cannot compute the probe ends the measuring with its words', async () => {
  const { measure } = await modelUnderTest({ fails: true })
  await expect(measure()).rejects.toThrow('it cannot')
  expect(keptFiles()).toEqual([])
})

it('the probe of a reranker is a pair, that of a masked model has a mask', async () => {
  const reranker = await modelUnderTest({ task: 'rerank', dir: 'fixtures/tiny-reranker' })
  await reranker.measure()
  expect(reranker.batches[0]?.[0]?.typeOneFrom).toBeGreaterThan(0)
  const filler = await modelUnderTest({ task: 'fill-mask', dir: 'fixtures/tiny-filler', version: 'v2' })
  await filler.measure()
  expect([...(filler.batches[0]?.[0]?.ids ?? [])]).toContain(filler.tokenizer?.mask?.id)
})

it('images are measured by their patches, whole, and a text of many sequences by all of them', async () => {
  const images = await modelUnderTest({ task: 'image-classification', dir: 'fixtures/tiny-vit-classifier' })
  // 17 patches each: 68 are four images.
  expect(await images.measure()).toMatchObject({ area: 136, kept: false })
  expect(images.batches[0]?.[0]?.extra?.bytes?.length).toBeGreaterThan(0)
  const task = 'zero-shot-classification'
  const labels = await modelUnderTest({ task, dir: 'fixtures/tiny-entailer', version: 'v2' })
  await labels.measure()
  const [item] = labels.batches[0] ?? []
  const sequences = [item, ...(item?.extra?.more ?? [])]
  expect(item?.cost).toBe(sequences.reduce((sum, one) => sum + (one?.ids.length ?? 0), 0))
})
