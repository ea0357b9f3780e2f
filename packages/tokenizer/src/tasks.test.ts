/** Tokens of classifiers and cross-encoders: those that the Python reference wrote beside the fixtures. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MillraceError, type Task } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePair } from './pair.js'
import { loadTextTokenizer, type TextTokenizer } from './text-tokenizer.js'

const fixtures = fileURLToPath(new URL('../../../models/fixtures', import.meta.url))
const reference = async (name: string) =>
  JSON.parse(await readFile(join(fixtures, name, 'reference.json'), 'utf8'))

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-tokenizer-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

/** The reranker's tokenizer with parts of tokenizer.json and config.json replaced. */
async function changed(tokenizer: object, config: object = {}): Promise<string> {
  const dir = await mkdtemp(join(scratch, 'model-'))
  const from = join(fixtures, 'tiny-reranker')
  await cp(join(from, 'tokenizer_config.json'), join(dir, 'tokenizer_config.json'))
  for (const [name, change] of Object.entries({ tokenizer, config })) {
    const json = JSON.parse(await readFile(join(from, `${name}.json`), 'utf8'))
    await writeFile(join(dir, `${name}.json`), JSON.stringify({ ...json, ...change }))
  }
  return dir
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof MillraceError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'nothing thrown'
}

it('a classifier’s texts have the reference’s ids', async () => {
  const tokenizer = await loadTextTokenizer(join(fixtures, 'tiny-classifier'), 'text-classification')
  const { items } = await reference('tiny-classifier')
  for (const { text, truncate, input_ids } of items) {
    const { ids, typeOneFrom } = tokenizer.encode(text, { truncate })
    expect([...ids]).toEqual(input_ids)
    expect(typeOneFrom).toBeUndefined()
  }
})

describe('a cross-encoder’s pairs', () => {
  let tokenizer: TextTokenizer
  beforeAll(async () => {
    tokenizer = await loadTextTokenizer(join(fixtures, 'tiny-reranker'), 'rerank')
  })

  it('have the reference’s ids and token types, also where one or both are cut', async () => {
    const { items } = await reference('tiny-reranker')
    for (const { query, text, truncate, input_ids, token_type_ids } of items) {
      const pair = writePair({ first: query, second: text })
      const { ids, typeOneFrom = Number.NaN } = tokenizer.encode(pair, { truncate })
      expect([...ids]).toEqual(input_ids)
      expect(Array.from(ids, (_, place) => (place < typeOneFrom ? 0 : 1))).toEqual(token_type_ids)
      if (!truncate) expect(tokenizer.count(pair)).toBe(ids.length)
      else expect(codeOf(() => tokenizer.encode(pair, { truncate: false }))).toMatch(/^input_too_long/)
    }
  })

  it('are taken up to exactly the limit, special tokens included', () => {
    const pair = (words: number) => writePair({ first: 'the '.repeat(30), second: 'mill '.repeat(words) })
    expect(tokenizer.encode(pair(31), { truncate: false }).ids).toHaveLength(64)
    expect(codeOf(() => tokenizer.encode(pair(32), { truncate: false }))).toBe(
      'input_too_long: The two texts together have 65 tokens; this model takes at most 64',
    )
  })

  it('may have a text without a token', () => {
    const { ids, typeOneFrom } = tokenizer.encode(writePair({ first: 'the', second: ' ' }), {
      truncate: false,
    })
    expect(ids).toHaveLength(4)
    expect(typeOneFrom).toBe(3)
  })

  it('are read as texts even where they look like token ids', () => {
    const pair = writePair({ first: '\u0000token-ids:1', second: 'the' })
    expect(tokenizer.encode(pair, { truncate: false }).ids.length).toBeGreaterThan(5)
  })
})

describe('other models’ pairs', () => {
  it('between the special tokens of RoBERTa, without token types', async () => {
    const dir = await changed(
      { post_processor: { type: 'RobertaProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] } },
      { type_vocab_size: 1 },
    )
    const tokenizer = await loadTextTokenizer(dir, 'rerank')
    const { ids, typeOneFrom } = tokenizer.encode(writePair({ first: 'the', second: 'mill' }), {
      truncate: false,
    })
    expect(ids.filter((id) => id < 5)).toEqual(Int32Array.of(2, 3, 3, 3))
    expect(typeOneFrom).toBeUndefined()
  })

  it('that a tokenizer cannot write are refused at load, and only by a task that needs them', async () => {
    const { post_processor } = JSON.parse(
      await readFile(join(fixtures, 'tiny-reranker', 'tokenizer.json'), 'utf8'),
    )
    const dir = await changed({ post_processor: { ...post_processor, pair: [] } })
    await expect(loadTextTokenizer(dir, 'rerank')).rejects.toThrow('two texts')
    await expect(loadTextTokenizer(dir, 'text-classification')).resolves.toBeDefined()
  })

  it('are no input of a model that takes one text', async () => {
    for (const task of ['feature-extraction', 'text-classification'] as const) {
      const tokenizer = await loadTextTokenizer(join(fixtures, 'tiny-classifier'), task)
      const pair = writePair({ first: 'the', second: 'mill' })
      expect(codeOf(() => tokenizer.encode(pair, { truncate: true }))).toMatch('invalid_input')
      expect(codeOf(() => tokenizer.count(pair))).toMatch('invalid_input')
    }
  })
})

it('white space around a text counts for classifiers, as in transformers, and not for embeddings', async () => {
  const dir = await changed({ normalizer: null, pre_tokenizer: null })
  const idsFor = async (task: Task) => {
    const tokenizer = await loadTextTokenizer(dir, task)
    return [...tokenizer.encode(' the', { truncate: false }).ids]
  }
  const unknown = 1
  expect(await idsFor('text-classification')).toContain(unknown)
  expect(await idsFor('feature-extraction')).not.toContain(unknown)
})
