/** Answers on the tiny reader, against transformers' QuestionAnsweringPipeline, through a real model process. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Answer } from '@millrace/contracts'
import { writePair } from '@millrace/tokenizer'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { costOf, type EncodedItem } from '../engine.js'
import { starterOptions } from '../load-fake-model.js'
import { type LoadedModel, loadModel } from '../load-model.js'

const dir = fileURLToPath(new URL('../../../../models/fixtures/tiny-reader', import.meta.url))
interface Item {
  question: string
  context: string
  input_ids: number[][]
  answers: { options: Record<string, number | boolean>; output: Answer | Answer[] }[]
}
const byteDir = fileURLToPath(new URL('../../../../models/fixtures/tiny-byte-reader', import.meta.url))
const itemsOf = async (folder: string) =>
  (JSON.parse(await readFile(join(folder, 'reference.json'), 'utf8')) as { items: Item[] }).items
const items = await itemsOf(dir)

let model: LoadedModel
let byteModel: LoadedModel
beforeAll(async () => {
  model = await loadModel({ ...starterOptions, task: 'question-answering', dir, dtype: 'fp32' })
  byteModel = await loadModel({ ...starterOptions, task: 'question-answering', dir: byteDir, dtype: 'fp32' })
}, 30_000)
afterAll(() => Promise.all([model, byteModel].map((one) => one.close({ force: true }))))

const pairOf = ({ question, context }: Pick<Item, 'question' | 'context'>) =>
  writePair({ first: question, second: context })
const rowsOf = (item: EncodedItem) => [item, ...(item.extra?.more ?? [])].map(({ ids }) => [...ids])
const codeOf = (question: string, context: string, truncate = false) => {
  try {
    model.encode({ input: pairOf({ question, context }), truncate })
    return 'taken'
  } catch (error) {
    return (error as { code?: string }).code
  }
}

async function expectAnswers(model: LoadedModel, items: readonly Item[]): Promise<void> {
  for (const place of items[0]?.answers.keys() ?? []) {
    const inputs = items.map((item) => {
      const params = item.answers[place]?.options ?? {}
      return { input: pairOf(item), truncate: false, params }
    })
    const encoded = inputs.map((input) => model.encode(input))
    const { outcomes } = await model.runBatch(encoded)
    for (const [at, item] of items.entries()) {
      const [outcome, one, input] = [outcomes[at], encoded[at], inputs[at]]
      if (!outcome?.ok || !one || !input) throw new Error('not computed')
      // The copy was not encoded here: what was read of it is read again.
      for (const read of [one, { ...one }]) {
        const result = model.resultOf(outcome.vector, read, input)
        const found = listed(result.kind === 'value' ? (result.value as Answer) : [])
        const wanted = likely(listed(item.answers[place]?.output ?? []))
        expect(found.map(({ score: _, ...rest }) => rest)).toEqual(
          wanted.map(({ score: _, ...rest }) => rest),
        )
        for (const [i, { score }] of wanted.entries()) {
          expect(Math.abs((found[i]?.score ?? Number.NaN) - score)).toBeLessThan(1e-4)
        }
      }
    }
  }
}

describe('a loaded reader', () => {
  it('says how long the parts are that it reads', () => {
    expect(model.facts).toMatchObject({
      task: 'question-answering',
      part_tokens: 64,
      max_tokens: 64,
      batching: { mode: 'batched' },
    })
  })

  it('reads a context in the reference’s parts, and counts the tokens of all', async () => {
    for (const item of await itemsOf(byteDir)) {
      expect(rowsOf(byteModel.encode({ input: pairOf(item), truncate: false }))).toEqual(item.input_ids)
    }
    for (const item of items) {
      const encoded = model.encode({ input: pairOf(item), truncate: false })
      expect(rowsOf(encoded)).toEqual(item.input_ids)
      expect(costOf(encoded)).toBe(item.input_ids.flat().length)
    }
    expect(items.some(({ input_ids }) => input_ids.length > 2)).toBe(true)
  })

  it.each(['word pieces', 'byte-level tokens'])(
    'gives the reference’s answers, all contexts in one batch, of %s',
    async (kind) => {
      const bytes = kind === 'byte-level tokens'
      await expectAnswers(bytes ? byteModel : model, bytes ? await itemsOf(byteDir) : items)
    },
  )

  it('answers with one answer, and with a list where more are asked for', async () => {
    const input = { input: pairOf({ question: 'Who?', context: 'the mill' }), truncate: false }
    const item = model.encode(input)
    const {
      outcomes: [outcome],
    } = await model.runBatch([item])
    const answered = (params: Record<string, number>) => {
      const result = model.resultOf(outcome?.ok ? outcome.vector : Float32Array.of(), item, {
        ...input,
        params,
      })
      return result.kind === 'value' ? result.value : undefined
    }
    expect(answered({})).toMatchObject({ answer: expect.any(String) })
    expect(answered({ top_k: 20 })).toEqual(expect.arrayContaining([answered({ top_k: 1 })]))
  })

  it('finds nothing in a context without a token', async () => {
    const input = { input: pairOf({ question: 'Who?', context: ' ' }), truncate: false }
    const item = model.encode(input)
    const {
      outcomes: [outcome],
    } = await model.runBatch([item])
    const result = model.resultOf(outcome?.ok ? outcome.vector : Float32Array.of(), item, input)
    expect(result).toEqual({ kind: 'value', value: { score: 0, start: 0, end: 0, answer: '' } })
  })

  it('refuses a question that leaves no room for a context in parts, unless it may be cut', () => {
    const long = 'river '.repeat(80)
    expect(codeOf('the '.repeat(40), 'mill')).toBe('taken')
    expect(codeOf('the '.repeat(40), long)).toBe('input_too_long')
    expect(codeOf('the '.repeat(40), long, true)).toBe('taken')
    expect(codeOf('the '.repeat(28), long)).toBe('taken')
    expect(codeOf('the '.repeat(29), long)).toBe('input_too_long')
  })

  it('is refused at load where its tokenizer tells no places', async () => {
    const other = await mkdtemp(join(tmpdir(), 'millrace-reader-'))
    onTestFinished(() => rm(other, { recursive: true, force: true }))
    await cp(dir, other, { recursive: true })
    const json = JSON.parse(await readFile(join(dir, 'tokenizer.json'), 'utf8'))
    const normalizer = { type: 'Prepend', prepend: '▁' }
    await writeFile(join(other, 'tokenizer.json'), JSON.stringify({ ...json, normalizer }))
    const load = loadModel({ ...starterOptions, task: 'question-answering', dir: other, dtype: 'fp32' })
    await expect(load).rejects.toThrow('byte-level BPE only')
  })
})

function listed(output: Answer | Answer[]): Answer[] {
  return Array.isArray(output) ? output : [output]
}

/** The pipeline fills up with impossible spans, of score 0, where a context is too short for as many as it looks for. */
function likely(answers: Answer[]): Answer[] {
  return answers.filter(({ score }) => score > 0)
}
