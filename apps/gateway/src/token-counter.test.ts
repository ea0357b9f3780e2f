import { loadTextTokenizer, writePair, writeTokenIds } from '@millrace/tokenizer'
import { describe, expect, test } from 'vitest'
import { TokenCounter, tokensGiven } from './token-counter.js'

const tokenizer = await loadTextTokenizer(
  new URL('../../../models/all-MiniLM-L6-v2', import.meta.url).pathname,
)

test.each([
  ['254 words', 'cat '.repeat(254), undefined],
  ['255 words', 'cat '.repeat(255), 'input_too_long'],
  ['many characters in few tokens', ' '.repeat(50_000), undefined],
  ['one endless word', 'x'.repeat(50_000), undefined],
  ['Chinese without a space', '文字'.repeat(40_000), 'input_too_long'],
  ['a long text', 'some words of a text '.repeat(4000), 'input_too_long'],
])('%s: the verdict is that of a full count', (_name, text, code) => {
  expect(tokenizer.count(text) > tokenizer.maxTokens).toBe(code !== undefined)
  expect(new TokenCounter(tokenizer).faultOf(text)?.code).toBe(code)
})

test('a charged text counts as far as the model takes it, or in full where it is read in parts', () => {
  const counter = new TokenCounter(tokenizer)
  expect(counter.tokensOf('cat '.repeat(300))).toBe(256)
  expect(counter.tokensOf('cat '.repeat(300), { whole: true })).toBe(302)
})

test('a far too long text is told by its beginning', () => {
  let counted = 0
  const count = (text: string) => {
    counted += text.length
    return tokenizer.count(text)
  }
  expect(new TokenCounter({ ...tokenizer, count }).faultOf('a b '.repeat(25_000))?.code).toBe(
    'input_too_long',
  )
  expect(counted).toBeLessThan(3000)
})

test('a request counts no more than its budget and leaves the rest to the worker', () => {
  let counted = 0
  const count = (text: string) => {
    counted += text.length
    return 100
  }
  const counter = new TokenCounter({ ...tokenizer, count })
  for (let i = 0; i < 2048; i++) expect(counter.faultOf('word '.repeat(200))).toBeUndefined()
  expect(counted).toBeGreaterThan(1_040_000)
  expect(counted).toBeLessThanOrEqual(1_048_576)
})

test('it asks for a rest after a few thousand characters', async () => {
  const counter = new TokenCounter(tokenizer)
  for (let i = 0; i < 5; i++) counter.faultOf('word '.repeat(200))
  expect(counter.needsRest).toBe(true)
  await counter.rest()
  expect(counter.needsRest).toBe(false)
})

describe('pairs', async () => {
  const pairs = await loadTextTokenizer(
    new URL('../../../models/fixtures/tiny-reranker', import.meta.url).pathname,
    'rerank',
  )
  const words = (count: number) => 'the '.repeat(count)
  const noSpace = (count: number) => 'x'.repeat(count)

  test.each([
    ['that just fit', words(30), words(31)],
    ['one token too long', words(31), words(31)],
    ['of a short and a long text', 'the', words(5000)],
    ['of a long and a short text', words(5000), 'the'],
    ['of two long texts', words(5000), words(5000)],
    ['of two endless words', noSpace(5000), noSpace(5000)],
    ['of an endless word and words', noSpace(5000), words(58)],
    ['of much white space', ' '.repeat(5000), ' '.repeat(5000)],
  ])('%s: the verdict is that of a full count', (_name, first, second) => {
    const pair = writePair({ first, second })
    const fault = new TokenCounter(pairs).faultOf(pair)
    expect(fault?.code).toBe(pairs.count(pair) > pairs.maxTokens ? 'input_too_long' : undefined)
    expect(tokensGiven(pairs, pair)).toBe(Math.min(pairs.count(pair), pairs.maxTokens))
  })

  test('that are far too long are told by their beginnings', () => {
    let counted = 0
    const count = (text: string) => {
      counted += text.length
      return pairs.count(text)
    }
    const pair = writePair({ first: words(20_000), second: words(20_000) })
    expect(new TokenCounter({ ...pairs, count }).faultOf(pair)?.code).toBe('input_too_long')
    expect(tokensGiven({ ...pairs, count }, pair)).toBe(64)
    expect(counted).toBeLessThan(3000)
  })
})

test('token ids are given as they are, however long their list reads', () => {
  const ids = writeTokenIds(Array(250).fill(30_521))
  expect(tokensGiven(tokenizer, ids)).toBe(252)
  expect(tokensGiven(tokenizer, writeTokenIds(Array(600).fill(7)))).toBe(256)
})
