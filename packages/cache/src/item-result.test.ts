import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeResult,
  encodeCandidates,
  encodeError,
  encodeLabels,
  encodeResult,
  encodeScore,
  encodeVector,
  isErrorResult,
  isResult,
  isVectorResult,
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

  it('takes just as much room as it says, whatever it holds, and nothing of what it was made from', () => {
    const batch = new Float32Array(64).fill(1)
    const all = [
      encodeVector(batch.subarray(8, 16)),
      encodeLabels(['a', 'b'], batch.subarray(0, 2)),
      encodeScore(1),
      encodeCandidates([]),
      encodeResult({ kind: 'value', value: { a: 1 } }),
      encodeError({ code: 'internal', detail: 'x' }),
    ]
    for (const bytes of all) expect(bytes.buffer.byteLength).toBe(bytes.length)
    const vector = decodeResult(encodeVector(batch.subarray(8, 16)))
    expect(vector.kind === 'vector' && vector.values.buffer.byteLength).toBe(8 * 4)
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

  it('gives back labels with their scores, whatever the names are', () => {
    const label = fc.tuple(fc.string({ unit: 'grapheme' }), fc.float())
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 20 }), fc.nat(3), (pairs, shift) => {
        const labels = pairs.map(([name]) => name)
        const scores = Float32Array.from(pairs, ([, score]) => score)
        const bytes = encodeLabels(labels, scores)
        const moved = Buffer.concat([Buffer.alloc(shift), bytes]).subarray(shift)
        expect(decodeResult(moved)).toEqual({ kind: 'labels', labels, scores })
        expect(isVectorResult(bytes) || isErrorResult(bytes)).toBe(false)
      }),
    )
  })

  it('gives back candidates as they were, apart from vectors and errors', () => {
    const candidates = [{ score: 0.7, token: 12, token_str: '##é', sequence: 'café "noir"' }]
    const bytes = encodeCandidates(candidates)
    expect(decodeResult(bytes)).toEqual({ kind: 'candidates', candidates })
    expect(isVectorResult(bytes) || isErrorResult(bytes)).toBe(false)
    expect(isResult(bytes.subarray(0, bytes.length - 1))).toBe(false)
  })

  it('gives back any other value as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const bytes = encodeResult({ kind: 'value', value })
        expect(decodeResult(bytes)).toEqual({ kind: 'value', value: JSON.parse(JSON.stringify(value)) })
        expect(isVectorResult(bytes) || isErrorResult(bytes)).toBe(false)
        expect(isResult(bytes.subarray(0, bytes.length - 1))).toBe(false)
      }),
    )
  })

  it('refuses to name more or fewer scores than there are', () => {
    expect(() => encodeLabels(['a'], new Float32Array(2))).toThrow('2 scores of 1 labels')
  })

  it('gives back a score, and keeps it apart from a vector of one number', () => {
    const bytes = encodeScore(-2.5)
    expect(decodeResult(bytes)).toEqual({ kind: 'score', score: -2.5 })
    expect(isVectorResult(bytes)).toBe(false)
    expect(isVectorResult(encodeVector(new Float32Array([-2.5])))).toBe(true)
    expect(isResult(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe(false)
  })

  it('refuses labels whose names were cut off', () => {
    const bytes = encodeLabels(['a', 'b'], new Float32Array(2))
    expect(isResult(bytes.subarray(0, 8 + 2 * 4))).toBe(false)
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
