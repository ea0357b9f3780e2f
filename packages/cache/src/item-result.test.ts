import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeResult,
  encodeError,
  encodeVector,
  isErrorResult,
  isResult,
  vectorBytes,
} from './item-result.js'

describe('item result bytes', () => {
  it('gives back every vector bit by bit, from unaligned bytes as well', () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1, maxLength: 50 }), fc.nat(3), (values, shift) => {
        const bytes = encodeVector(values)
        const moved = Buffer.concat([Buffer.alloc(shift), bytes]).subarray(shift)
        const result = decodeResult(moved)
        if (result.kind !== 'vector') throw new Error('not a vector')
        expect(Buffer.from(result.values.buffer)).toEqual(vectorBytes(bytes))
        expect([...result.values]).toEqual([...values])
      }),
    )
  })

  it('encodes a part of a larger array, and only that part', () => {
    const part = new Float32Array([1, 2, 3, 4]).subarray(1, 3)
    expect(decodeResult(encodeVector(part))).toEqual({ kind: 'vector', values: new Float32Array([2, 3]) })
  })

  it('keeps an error apart from a vector', () => {
    const bytes = encodeError({ code: 'input_too_long', detail: 'naïve — 300 tokens' })
    expect(isErrorResult(bytes)).toBe(true)
    expect(isErrorResult(encodeVector(new Float32Array([1])))).toBe(false)
    expect(decodeResult(bytes)).toEqual({
      kind: 'error',
      error: { code: 'input_too_long', detail: 'naïve — 300 tokens' },
    })
  })

  it('refuses bytes of another version, cut short, or of another origin', () => {
    const good = encodeVector(new Float32Array([1, 2]))
    const newer = Buffer.from(good)
    newer[2] = 9
    for (const bad of [newer, good.subarray(0, good.length - 1), Buffer.from('nonsense'), Buffer.alloc(0)]) {
      expect(isResult(bad)).toBe(false)
      expect(() => decodeResult(bad)).toThrow()
    }
  })
})
