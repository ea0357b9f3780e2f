import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { byteLevelText } from './byte-level.js'
import { loadTextTokenizer } from './text-tokenizer.js'

const dir = fileURLToPath(new URL('../../../models/fixtures/tiny-byte-tagger', import.meta.url))
const { pieces } = await loadTextTokenizer(dir, 'token-classification')

test('the tokens of any text are that text again', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(byteLevelText(pieces.spansOf?.(text)?.tokens ?? [])).toBe(text)
      expect(pieces.join(pieces.spansOf?.(text)?.tokens ?? [])).toBe(text)
    }),
  )
})

test('what is text already stays as it is', () => {
  expect(byteLevelText(['Ġthe', ' river', 'Ġnaïve', 'Ġna', 'Ã¯', 've'])).toBe(' the river na\ufffdve naïve')
  expect(pieces.join([' the', 'Ġriver'])).toBe(' the river')
})
