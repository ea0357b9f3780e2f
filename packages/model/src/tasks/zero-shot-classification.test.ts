/** Labels of one's own on the tiny entailer, against transformers' ZeroShotClassificationPipeline, through a real model process. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LabelScores, Params } from '@millrace/contracts'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { costOf } from '../engine.js'
import { starterOptions } from '../load-fake-model.js'
import { type LoadedModel, loadModel } from '../load-model.js'

const dir = fileURLToPath(new URL('../../../../models/fixtures/tiny-entailer', import.meta.url))
interface Item {
  text: string
  truncate: boolean
  options: Params
  output: LabelScores
}
const reference = JSON.parse(await readFile(join(dir, 'reference.json'), 'utf8')) as {
  items: Item[]
  entailment_first: Item[]
}

const open: LoadedModel[] = []
afterEach(() => Promise.all(open.splice(0).map((model) => model.close({ force: true }))))
async function load(config?: object): Promise<LoadedModel> {
  const from = config === undefined ? dir : await changed(config)
  const model = await loadModel({
    ...starterOptions,
    task: 'zero-shot-classification',
    dir: from,
    dtype: 'fp32',
  })
  open.push(model)
  return model
}

/** The model with other words in its config.json. */
async function changed(config: object): Promise<string> {
  const other = await mkdtemp(join(tmpdir(), 'millrace-entailer-'))
  onTestFinished(() => rm(other, { recursive: true, force: true }))
  await cp(dir, other, { recursive: true })
  const json = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'))
  await writeFile(join(other, 'config.json'), JSON.stringify({ ...json, ...config }))
  return other
}

async function expectReference(model: LoadedModel, items: readonly Item[]): Promise<void> {
  const inputs = items.map(({ text, truncate, options }) => ({ input: text, truncate, params: options }))
  const encoded = inputs.map((input) => model.encode(input))
  const { outcomes } = await model.runBatch(encoded)
  for (const [at, { output }] of items.entries()) {
    const [outcome, one, input] = [outcomes[at], encoded[at], inputs[at]]
    if (!outcome?.ok || !one || !input) throw new Error('not computed')
    const result = model.resultOf(outcome.vector, one, input)
    const found = (result.kind === 'value' ? result.value : undefined) as LabelScores
    expect(found.labels).toEqual(output.labels)
    expect(found.scores).toHaveLength(output.scores.length)
    for (const [i, score] of output.scores.entries()) {
      expect(Math.abs((found.scores[i] ?? Number.NaN) - score)).toBeLessThan(1e-4)
    }
  }
}

describe('a loaded zero-shot classifier', () => {
  it('gives the reference’s labels and scores, all texts and options in one batch', async () => {
    const model = await load()
    expect(model.facts).toMatchObject({
      task: 'zero-shot-classification',
      entailment_label: 'entailment',
      max_tokens: 64,
      batching: { mode: 'batched' },
    })
    await expectReference(model, reference.items)
  })

  it('takes the place of the entailment from config.json, as the reference does', async () => {
    const model = await load({ label2id: { ENTAILMENT: 0, neutral: 1, contradiction: 2 } })
    await expectReference(model, reference.entailment_first)
  })

  it('costs the tokens of the text with every label', async () => {
    const model = await load()
    const item = model.encode({
      input: 'the mill',
      truncate: false,
      params: { candidate_labels: ['the', 'mill', 'wind'] },
    })
    const rows = [item, ...(item.extra?.more ?? [])]
    expect(rows).toHaveLength(3)
    expect(costOf(item)).toBe(rows.reduce((sum, { ids }) => sum + ids.length, 0))
  })

  it('takes a label as it is, also where it looks like a pattern', async () => {
    const model = await load()
    const idsOf = (label: string, template: string) => {
      const params = { candidate_labels: [label], hypothesis_template: template }
      return [...model.encode({ input: 'the', truncate: false, params }).ids]
    }
    expect(idsOf('$&', 'the {}')).toEqual(idsOf('the $&', '{}'))
  })

  it('cuts the text alone, and only where it may; a label that leaves it no room is refused', async () => {
    const model = await load()
    const code = (input: string, label: string, truncate: boolean) => {
      try {
        return model.encode({ input, truncate, params: { candidate_labels: ['the', label] } }).ids.length
      } catch (error) {
        return (error as { code?: string }).code
      }
    }
    expect(code('mill '.repeat(80), 'the', false)).toBe('input_too_long')
    expect(code('mill '.repeat(80), 'the', true)).toBe(64)
    expect(code('mill', 'the '.repeat(80), true)).toBe('input_too_long')
  })

  it('is none where config.json names no entailment', async () => {
    const labels = { id2label: { 0: 'a', 1: 'b', 2: 'c' }, label2id: { a: 0, b: 1, c: 2 } }
    await expect(load(labels)).rejects.toThrow("names no label 'entailment'")
  })
})
