import { loadTextTokenizer } from '@millrace/tokenizer'
import { expect, test } from 'vitest'
import { TokenCounter } from './token-counter.js'

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
