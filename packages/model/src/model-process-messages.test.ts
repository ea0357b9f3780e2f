/** What crosses the process border arrives as it was sent. */
import { deserialize, serialize } from 'node:v8'
import { expect, test } from 'vitest'
import type { EncodedItem } from './engine.js'
import { packItems, packVectors, unpackItems, unpackVectors } from './model-process-messages.js'

const crossed = <T>(value: T): T => deserialize(serialize(value)) as T

test('items arrive as they were: ids, token types, and what else one of them needs', () => {
  const batch: EncodedItem[] = [
    { ids: Int32Array.of(1, 2, 3) },
    { ids: Int32Array.of(4), typeOneFrom: 0 },
    {
      ids: Int32Array.of(),
      extra: {
        params: { labels: ['a', 'b'], most: 3 },
        bytes: Uint8Array.of(1, 255),
        more: [{ ids: Int32Array.of(7), typeOneFrom: 1 }],
      },
    },
  ]
  expect(unpackItems(crossed(packItems(batch)))).toEqual(batch)
})

test('items that need nothing else send nothing else', () => {
  expect(packItems([{ ids: Int32Array.of(1) }])).not.toHaveProperty('extras')
})

test('vectors of different lengths arrive apart, each in a buffer of its own', () => {
  const vectors = [Float32Array.of(1, 2), Float32Array.of(), Float32Array.of(3)]
  const found = unpackVectors(crossed(packVectors(vectors, 0)))
  expect(found).toEqual(vectors)
  for (const vector of found) expect(vector.buffer.byteLength).toBe(vector.byteLength)
})

test('a vector of another length than announced is refused', () => {
  expect(() => packVectors([new Float32Array(3), new Float32Array(2)], 3)).toThrow('2 values, not 3')
})
