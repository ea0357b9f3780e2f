import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type JsonBytes, jsonBytes } from './json-bytes.js'

test('whatever is written is there, in order, however much it is', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary', minLength: 30_000, maxLength: 40_000 }),
    fc.uint8Array({ maxLength: 100_000 }),
    fc.float32Array({ maxLength: 5000, noNaN: true, noDefaultInfinity: true }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const written = jsonBytes((json) => {
        for (const one of pieces) {
          if (typeof one === 'string') json.text(one)
          else if (one instanceof Float32Array) json.floats(one)
          else json.bytes(one)
        }
      })
      const apart = pieces.map((one) => {
        if (typeof one === 'string') return Buffer.from(one)
        return one instanceof Float32Array ? jsonBytes((json) => json.floats(one)) : Buffer.from(one)
      })
      expect(written.equals(Buffer.concat(apart))).toBe(true)
    }),
    { numRuns: 100 },
  )
})

test('what was taken stays as it is, and a writer that threw leaves nothing behind', () => {
  const first = jsonBytes((json) => json.text('first'))
  const half = (json: JsonBytes) => {
    json.text('half')
    throw new Error('of it')
  }
  expect(() => jsonBytes(half)).toThrow('of it')
  expect(jsonBytes((json) => json.text('2')).toString()).toBe('2')
  expect(first.toString()).toBe('first')
})

test('a long answer leaves its room to itself', () => {
  const long = jsonBytes((json) => json.text('x'.repeat(1 << 20)))
  expect(long.toString()).toBe('x'.repeat(1 << 20))
  const [next, behind] = ['a', 'b'].map((text) => jsonBytes((json) => json.text(text)))
  expect(next?.buffer).not.toBe(long.buffer)
  expect(behind?.buffer).toBe(next?.buffer)
  expect(next?.buffer.byteLength).toBe(1 << 18)
})

test('a part is a copy of its own', () => {
  let part = Buffer.alloc(0)
  jsonBytes((json) => {
    json.text('[1,')
    const start = json.length
    json.floats(new Float32Array([0.5]))
    part = json.since(start)
    json.text(']')
  })
  jsonBytes((json) => json.text('something else'))
  expect(part.toString()).toBe('[0.5]')
})
