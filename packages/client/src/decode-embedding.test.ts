import { expect, test } from 'vitest'
import { decodeEmbedding } from './decode-embedding.js'

test('little-endian float32 comes back bit for bit', () => {
  const values = Float32Array.of(0.1, -1.5, 3.4e38, 1e-40, 0)
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, i) => {
    bytes.writeFloatLE(value, i * 4)
  })
  expect(decodeEmbedding(bytes.toString('base64'))).toEqual(values)
})

test('what is no base64, or no whole number of values, is refused', () => {
  expect(() => decodeEmbedding('@')).toThrow(TypeError)
  expect(() => decodeEmbedding(Buffer.alloc(6).toString('base64'))).toThrow(TypeError)
})
