import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Chunk, chunksOf, inputLines, maxLineBytes } from './input-lines.js'

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const value of values) seen.push(value)
  return seen
}
async function* blocks(parts: readonly (Uint8Array | string)[]) {
  yield* parts
}
const linesOf = async (...parts: (Uint8Array | string)[]) =>
  (await all(inputLines(blocks(parts)))).map(({ index, bytes, endsAt }) => [index, bytes?.toString(), endsAt])
const chunks = (text: string, limits: { maxItems: number; maxBytes: number }): Promise<Chunk[]> =>
  all(chunksOf(inputLines(blocks([text])), limits))
const indices = (cut: readonly Chunk[]) => cut.map(({ lines }) => lines.map(({ index }) => index))

describe('lines', () => {
  test('are the same however the bytes arrive', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('a', 'ü', '\n', '\r') }),
        fc.array(fc.nat(20)),
        async (text, cuts) => {
          const bytes = Buffer.from(text)
          const parts: Buffer[] = []
          let from = 0
          for (const size of cuts) {
            parts.push(bytes.subarray(from, from + size))
            from += size
          }
          parts.push(bytes.subarray(from))
          const expected = text.split('\n')
          if (expected.at(-1) === '') expected.pop()
          const lines = await linesOf(...parts)
          expect(lines.map(([, line]) => line)).toEqual(expected)
          expect(lines.at(-1)?.[2] ?? 0).toBe(bytes.length)
        },
      ),
    )
  })

  test('say where they end, newline included', async () => {
    expect(await linesOf('ab\n\nü')).toEqual([
      [0, 'ab', 3],
      [1, '', 4],
      [2, 'ü', 6],
    ])
  })

  test('that are too long are counted, not kept', async () => {
    const half = 'x'.repeat(maxLineBytes / 2 + 1)
    expect(await linesOf('a\n', half, half, '\nb\n')).toEqual([
      [0, 'a', 2],
      [1, undefined, maxLineBytes + 5],
      [2, 'b', maxLineBytes + 7],
    ])
  })
})

describe('chunks', () => {
  test('hold so many lines, and pass over empty ones', async () => {
    const cut = await chunks('a\n\nb\nc\n \t\r\nd\n', { maxItems: 2, maxBytes: 100 })
    expect(indices(cut)).toEqual([
      [0, 2],
      [3, 5],
    ])
    expect(cut.map(({ firstIndex, lastIndex, endsAt }) => [firstIndex, lastIndex, endsAt])).toEqual([
      [0, 2, 5],
      [3, 5, 13],
    ])
  })

  test('hold so many bytes, but always a line', async () => {
    expect(indices(await chunks('aaaa\nbb\ncc\nd\n', { maxItems: 9, maxBytes: 4 }))).toEqual([
      [0],
      [1, 2],
      [3],
    ])
    expect(indices(await chunks('aaaaaaaaa\nb\n', { maxItems: 9, maxBytes: 4 }))).toEqual([[0], [1]])
  })

  test('of nothing are none', async () => {
    expect(await chunks('\n\n', { maxItems: 2, maxBytes: 4 })).toEqual([])
  })
})
