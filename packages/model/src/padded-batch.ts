/**
 * Items of many lengths as the tensors of one forward pass: padded on the right, int64 as ONNX models take them. Knows
 * arrays only.
 */
import type { Sequence } from './engine.js'

export interface PaddedBatch {
  /** `[count, width]`, row-major. */
  readonly dims: [number, number]
  readonly ids: BigInt64Array
  /** 1 for a real token, 0 for padding. */
  readonly mask: BigInt64Array
  /** Token types: 1 from an item's `typeOneFrom` on, 0 before it and for padding. */
  readonly types: BigInt64Array
  readonly lengths: number[]
}

/** @throws Error when an item has no token */
export function padBatch(batch: readonly Sequence[], padTokenId: number): PaddedBatch {
  const lengths = batch.map((item) => item.ids.length)
  if (lengths.includes(0)) throw new Error('An item has no token')
  const width = Math.max(...lengths)
  const size = batch.length * width
  const ids = new BigInt64Array(size)
  const mask = new BigInt64Array(size)
  const types = new BigInt64Array(size)
  // Written through 32-bit halves (little-endian, no value is ever negative): no BigInt per token.
  const idHalves = new Int32Array(ids.buffer)
  const maskHalves = new Int32Array(mask.buffer)
  const typeHalves = new Int32Array(types.buffer)
  batch.forEach((item, row) => {
    const typeOneFrom = item.typeOneFrom ?? width
    for (let column = 0; column < width; column++) {
      const at = 2 * (row * width + column)
      const real = column < item.ids.length
      idHalves[at] = real ? (item.ids[column] ?? 0) : padTokenId
      maskHalves[at] = real ? 1 : 0
      typeHalves[at] = real && column >= typeOneFrom ? 1 : 0
    }
  })
  return { dims: [batch.length, width], ids, mask, types, lengths }
}
