/** Classifiers and rerankers through real model processes: facts, refusals, blame. Runs the built model process. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writePair } from '@millrace/tokenizer'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { scoredTokens } from './candidates.js'
import { codes, FakeModels, starterOptions } from './load-fake-model.js'
import { type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const folder = (name: string) => fileURLToPath(new URL(`../../../models/fixtures/${name}`, import.meta.url))
const referenceOf = (name: string) => JSON.parse(readFileSync(join(folder(name), 'reference.json'), 'utf8'))
const classifier = { task: 'text-classification', dir: folder('tiny-classifier'), dtype: 'fp32' } as const
const filler = { task: 'fill-mask', dir: folder('tiny-filler'), dtype: 'fp32' } as const
const reranker = { task: 'rerank', dir: folder('tiny-reranker'), dtype: 'fp32' } as const

const open: LoadedModel[] = []
const fakes = new FakeModels()
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close({ force: true })))
  await fakes.closeAll()
})

async function load(options: Partial<LoadModelOptions>): Promise<LoadedModel> {
  const model = await loadModel({ ...starterOptions, ...options })
  open.push(model)
  return model
}

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-tasks-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

/** The classifier with other words in its config.json. */
function classifierWith(name: string, config: object): string {
  const dir = join(scratch, name)
  cpSync(classifier.dir, dir, { recursive: true })
  const file = join(dir, 'config.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...config }))
  return dir
}

describe('a loaded classifier', () => {
  it('says its labels, runs batches, and gives the reference’s probabilities', async () => {
    const model = await load(classifier)
    const { labels, items } = referenceOf('tiny-classifier')
    expect(model.facts).toMatchObject({
      task: 'text-classification',
      labels,
      multi_label: false,
      max_tokens: 64,
      batching: { mode: 'batched' },
    })
    expect(model.facts).not.toHaveProperty('dimensions')
    const batch = items.map(({ text, truncate }: { text: string; truncate: boolean }) =>
      model.encode({ input: text, truncate }),
    )
    const { outcomes } = await model.runBatch(batch)
    for (const [place, outcome] of outcomes.entries()) {
      const wanted = items[place].probabilities
      if (!outcome.ok) throw new Error(outcome.error.detail)
      for (const [at, value] of outcome.vector.entries())
        expect(Math.abs(value - wanted[at])).toBeLessThan(1e-4)
    }
  })

  it('scores each label by itself where its config.json says multi_label_classification', async () => {
    const dir = classifierWith('multi', { problem_type: 'multi_label_classification' })
    const [model, plain] = [await load({ ...classifier, dir }), await load(classifier)]
    expect(model.facts).toMatchObject({ multi_label: true })
    expect(model.facts.version).not.toBe(plain.facts.version)
    const [first] = referenceOf('tiny-classifier').items
    const { outcomes } = await model.runBatch([model.encode({ input: first.text, truncate: false })])
    const [outcome] = outcomes
    const scores = outcome?.ok ? [...outcome.vector] : []
    for (const [at, logit] of first.logits.entries())
      expect(scores[at]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 4)
  })

  it('with more names than scores is refused', async () => {
    const dir = classifierWith('names', { id2label: { 0: 'a', 1: 'b', 2: 'c', 3: 'd' } })
    await expect(load({ ...classifier, dir })).rejects.toThrow(/names 4 labels; the model gives 3 scores/)
  })
})

describe('a loaded reranker', () => {
  it('gives the reference’s logit for every pair', async () => {
    const model = await load(reranker)
    expect(model.facts).toMatchObject({ task: 'rerank', max_tokens: 64, batching: { mode: 'batched' } })
    const { items } = referenceOf('tiny-reranker')
    const batch = items.map(({ query, text, truncate }: { query: string; text: string; truncate: boolean }) =>
      model.encode({ input: writePair({ first: query, second: text }), truncate }),
    )
    const { outcomes } = await model.runBatch(batch)
    for (const [place, outcome] of outcomes.entries()) {
      expect(outcome.ok && Math.abs((outcome.vector[0] ?? 0) - items[place].logit)).toBeLessThan(1e-4)
    }
  })

  it('is refused where the model gives more than one score', async () => {
    await expect(load({ ...reranker, dir: classifier.dir })).rejects.toThrow(/gives 3 scores per pair/)
  })

  it('that is an embedding model is refused', async () => {
    await expect(load({ task: 'rerank' })).rejects.toThrow(/no logits/)
  })
})

describe('what holds for embeddings holds for scores', () => {
  const fake = { ...reranker, engineModule: undefined }

  it('a pair that ends the model process fails alone, its batch mates succeed', async () => {
    const { model } = await fakes.load(
      { dimensions: 1 },
      { task: fake.task, dir: fake.dir, dtype: fake.dtype },
    )
    const mate = (id: number) => ({ ids: Int32Array.of(2, id, 3, id, 3), typeOneFrom: 3 })
    const culprit = { ids: Int32Array.of(2, 900_001, 3), typeOneFrom: 2 }
    const { outcomes } = await model.runBatch([mate(7), culprit, mate(8)])
    expect(codes(outcomes)).toEqual(['ok', 'input_crashes_model', 'ok'])
  })

  it('a pair that takes too long fails alone', async () => {
    const { model } = await fakes.load(
      { dimensions: 1 },
      { task: fake.task, dir: fake.dir, dtype: fake.dtype, batchTimeoutMs: 300 },
    )
    const stuck = { ids: Int32Array.of(2, 900_002, 3), typeOneFrom: 2 }
    const { outcomes } = await model.runBatch([{ ids: Int32Array.of(2, 5, 3), typeOneFrom: 2 }, stuck])
    expect(codes(outcomes)).toEqual(['ok', 'inference_timeout'])
  })

  it('a reranker whose scores depend on company runs one pair at a time', async () => {
    const options = { task: fake.task, dir: fake.dir, dtype: fake.dtype }
    const { model } = await fakes.load({ dimensions: 1, companyChanges: true }, options)
    // A vector of one number, at unit length, is 1 or -1: company shows all the same.
    expect(model.facts.batching.mode).toBe('one_at_a_time')
  })
})

describe('a loaded fill-mask model', () => {
  it('names its mask, and gives the reference’s candidates', async () => {
    const model = await load(filler)
    const { mask_token, items } = referenceOf('tiny-filler')
    expect(model.facts).toMatchObject({ task: 'fill-mask', mask_token, batching: { mode: 'batched' } })
    const batch = items.map(({ text, truncate }: { text: string; truncate: boolean }) =>
      model.encode({ input: text, truncate }),
    )
    const { outcomes } = await model.runBatch(batch)
    for (const [at, outcome] of outcomes.entries()) {
      if (!outcome.ok) throw new Error(outcome.error.detail)
      const tokens = scoredTokens(outcome.vector).map(({ token }) => token)
      expect(tokens).toEqual(items[at].candidates.map(({ token }: { token: number }) => token))
    }
  })

  it('is none where its tokenizer has no mask token', async () => {
    const dir = join(scratch, 'no-mask')
    cpSync(filler.dir, dir, { recursive: true })
    const file = join(dir, 'tokenizer_config.json')
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), mask_token: null }))
    await expect(load({ ...filler, dir })).rejects.toThrow('has no mask token')
  })
})
