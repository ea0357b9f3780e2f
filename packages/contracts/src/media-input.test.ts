import { expect, test } from 'vitest'
import { isMediaInput, type MediaInput, readMediaInput, writeMediaInput } from './media-input.js'

const media: MediaInput = { kind: 'image', type: 'image/png', bytes: 1234, digest: 'A-_'.padEnd(43, 'x') }

test('the canonical form reads back, and is short however large the file', () => {
  const written = writeMediaInput(media)
  expect(isMediaInput(written)).toBe(true)
  expect(readMediaInput(written)).toEqual(media)
  expect(written.length).toBeLessThan(100)
})

test.each([
  'a text',
  '\u0000media:',
  `${writeMediaInput(media)}x`,
  writeMediaInput({ ...media, digest: 'short' }),
])('what only begins like it is refused: %j', (input) => {
  expect(() => readMediaInput(input)).toThrowError(expect.objectContaining({ code: 'invalid_input' }))
})
