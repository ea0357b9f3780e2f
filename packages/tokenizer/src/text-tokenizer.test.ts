/** The tokenizer on the starter model's real files, and on changed copies of them. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MillraceError } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTextTokenizer, type TextTokenizer } from './text-tokenizer.js'
import { writeTokenIds } from './token-ids.js'

const starter = fileURLToPath(new URL('../../../models/all-MiniLM-L6-v2', import.meta.url))
const cls = 101
const sep = 102

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-tokenizer-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

/** A copy of the starter model's small files with some of them replaced (null: left out). */
async function changed(files: Record<string, unknown>): Promise<string> {
  const dir = await mkdtemp(join(scratch, 'model-'))
  for (const name of [
    'tokenizer.json',
    'tokenizer_config.json',
    'config.json',
    'sentence_bert_config.json',
  ]) {
    if (name in files) continue
    await cp(join(starter, name), join(dir, name))
  }
  for (const [name, content] of Object.entries(files)) {
    if (content === null) continue
    await writeFile(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return dir
}

async function jsonOf(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(starter, name), 'utf8'))
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

describe('the starter model', () => {
  let tokenizer: TextTokenizer
  beforeAll(async () => {
    tokenizer = await loadTextTokenizer(starter)
  })

  it('takes 256 tokens, as sentence_bert_config.json says, not the tokenizer’s 512', () => {
    expect(tokenizer.maxTokens).toBe(256)
    expect(tokenizer.padTokenId).toBe(0)
  })

  it('gives the ids of the reference tokenizer', () => {
    expect([...tokenizer.encode('Hello, world!', { truncate: false }).ids]).toEqual([
      101, 7592, 1010, 2088, 999, 102,
    ])
  })

  it('neither pads nor cuts because tokenizer.json carries padding and truncation to 128', () => {
    expect(tokenizer.encode('word '.repeat(200), { truncate: false }).ids).toHaveLength(202)
    expect(tokenizer.count('word')).toBe(3)
  })

  it('takes a text of exactly the limit and refuses one token more, with both numbers', () => {
    expect(tokenizer.encode('word '.repeat(254), { truncate: false }).ids).toHaveLength(256)
    expect(codeOf(() => tokenizer.encode('word '.repeat(255), { truncate: false }))).toBe(
      'input_too_long: The text has 257 tokens; this model takes at most 256',
    )
  })

  it('truncates to the first content tokens between the special ones', () => {
    const text = Array.from({ length: 300 }, (_, index) => `w${index}`).join(' ')
    const cut = tokenizer.encode(text, { truncate: true }).ids
    const whole = tokenizer.count(text)
    expect(whole).toBeGreaterThan(256)
    expect(cut).toHaveLength(256)
    expect(cut[0]).toBe(cls)
    expect(cut[255]).toBe(sep)
    const start = tokenizer.encode(text.slice(0, 200), { truncate: false }).ids
    expect([...cut.subarray(0, 60)]).toEqual([...start.subarray(0, 60)])
  })

  it('leaves a short text alone with truncate', () => {
    expect(tokenizer.encode('short', { truncate: true })).toEqual(
      tokenizer.encode('short', { truncate: false }),
    )
  })

  it('counts what encode gives', () => {
    for (const text of [
      '',
      ' ',
      'a',
      'naïve café',
      '日本語のテキスト',
      '🙂🙂',
      '\ud800 lone',
      '[SEP] literal',
    ]) {
      expect(tokenizer.count(text)).toBe(tokenizer.encode(text, { truncate: false }).ids.length)
    }
  })

  it('gives only the special tokens for a text without content', () => {
    expect([...tokenizer.encode('  \n', { truncate: false }).ids]).toEqual([cls, sep])
  })
})

describe('token ids in place of a text', () => {
  let tokenizer: TextTokenizer
  beforeAll(async () => {
    tokenizer = await loadTextTokenizer(starter)
  })
  const encode = (ids: number[], truncate = false) => [
    ...tokenizer.encode(writeTokenIds(ids), { truncate }).ids,
  ]

  it.each([
    ['without the special tokens', [7592, 1010, 2088, 999]],
    ['with them', [cls, 7592, 1010, 2088, 999, sep]],
  ])('%s are what the text itself would be', (_name, ids) => {
    expect(encode(ids)).toEqual([cls, 7592, 1010, 2088, 999, sep])
    expect(tokenizer.count(writeTokenIds(ids))).toBe(6)
  })

  it('are taken exactly, also where no text has these tokens', () => {
    // A piece that continues a word, first; one special token alone; the same one twice.
    for (const ids of [[2080, 7592], [sep], [cls, cls, 7592], [7592, sep]]) {
      expect(encode(ids)).toEqual([cls, ...ids, sep])
    }
  })

  it('are bounded as a text is, special tokens included', () => {
    expect(encode(Array(254).fill(2773))).toHaveLength(256)
    expect(codeOf(() => encode(Array(255).fill(2773)))).toMatch('input_too_long: The text has 257 tokens')
    expect(encode([cls, ...Array(300).fill(2773), sep], true)).toEqual([cls, ...Array(254).fill(2773), sep])
  })

  it('must be of this model’s vocabulary', () => {
    expect(encode([30_521])).toEqual([cls, 30_521, sep])
    expect(codeOf(() => encode([7592, 30_522]))).toMatch('invalid_input: 30522 is not a token')
    expect(codeOf(() => tokenizer.count(writeTokenIds([30_522])))).toMatch('invalid_input')
  })

  it('a text that only begins like them is refused', () => {
    expect(codeOf(() => tokenizer.encode(`${writeTokenIds([1])} and words`, { truncate: false }))).toMatch(
      'invalid_input',
    )
  })
})

describe('the length limit', () => {
  it('falls back to the tokenizer’s own limit', async () => {
    const dir = await changed({
      'sentence_bert_config.json': null,
      'tokenizer_config.json': { ...(await jsonOf('tokenizer_config.json')), model_max_length: 300 },
    })
    expect((await loadTextTokenizer(dir)).maxTokens).toBe(300)
  })

  it('is bounded by the position embeddings where the tokenizer names no real limit', async () => {
    const dir = await changed({
      'sentence_bert_config.json': null,
      'tokenizer_config.json': { ...(await jsonOf('tokenizer_config.json')), model_max_length: 1e30 },
    })
    expect((await loadTextTokenizer(dir)).maxTokens).toBe(512)
  })

  it('must be named by some file', async () => {
    const dir = await changed({
      'sentence_bert_config.json': null,
      'tokenizer_config.json': { pad_token: { content: '[PAD]' } },
      'config.json': {},
    })
    await expect(loadTextTokenizer(dir)).rejects.toThrow('how many tokens')
  })

  it('must leave room for content', async () => {
    const dir = await changed({ 'sentence_bert_config.json': { max_seq_length: 2 } })
    await expect(loadTextTokenizer(dir)).rejects.toThrow('no room')
  })
})

describe('other models’ special tokens', () => {
  it('a suffix alone stays at the end of a truncated text', async () => {
    const json = await jsonOf('tokenizer.json')
    const dir = await changed({
      'sentence_bert_config.json': { max_seq_length: 4 },
      'tokenizer.json': {
        ...json,
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '[SEP]', type_id: 0 } }],
          pair: [],
          special_tokens: { '[SEP]': { id: '[SEP]', ids: [sep], tokens: ['[SEP]'] } },
        },
      },
    })
    const tokenizer = await loadTextTokenizer(dir)
    expect([...tokenizer.encode('one two three four five', { truncate: true }).ids]).toEqual([
      2028,
      2048,
      2093,
      sep,
    ])
  })

  it('no post-processor means no special tokens', async () => {
    const dir = await changed({
      'tokenizer.json': { ...(await jsonOf('tokenizer.json')), post_processor: null },
    })
    expect([...(await loadTextTokenizer(dir)).encode('one', { truncate: false }).ids]).toEqual([2028])
  })
})

describe('a broken folder', () => {
  it.each(['tokenizer.json', 'tokenizer_config.json'])('without %s is refused by that name', async (name) => {
    await expect(loadTextTokenizer(await changed({ [name]: null }))).rejects.toThrow(`${name} is missing`)
  })

  it('with a file that is not JSON is refused by that name', async () => {
    await expect(loadTextTokenizer(await changed({ 'tokenizer.json': '{"model":' }))).rejects.toThrow(
      'tokenizer.json is not valid JSON',
    )
  })

  it('with a file of another shape is refused by the field', async () => {
    const dir = await changed({ 'sentence_bert_config.json': { max_seq_length: 'long' } })
    await expect(loadTextTokenizer(dir)).rejects.toThrow(
      /sentence_bert_config.json is not as expected: max_seq_length/,
    )
  })

  it('with a tokenizer of an unknown kind is refused', async () => {
    const dir = await changed({
      'tokenizer.json': { ...(await jsonOf('tokenizer.json')), model: { type: 'Magic' } },
    })
    await expect(loadTextTokenizer(dir)).rejects.toThrow('tokenizer.json is not supported')
  })
})
