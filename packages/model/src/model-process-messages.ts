/**
 * What a worker and its model process say to each other. Both sides import this file, so an addition that one side
 * forgets does not compile. Sent with `serialization: 'advanced'`: typed arrays travel as bytes.
 */
import type { EncodedItem, EngineFacts, EngineSpec } from './engine.js'

export type ToModelProcess =
  | { readonly type: 'load'; readonly engineModule: string; readonly spec: EngineSpec }
  | ({ readonly type: 'run'; readonly batchId: number } & PackedItems)
  | { readonly type: 'stop' }

export type FromModelProcess =
  | {
      readonly type: 'loaded'
      readonly facts: EngineFacts
      readonly loadMs: number
      /** What loading added to the memory that this process can share with nobody; null where it cannot be told. */
      readonly privateGrowthBytes: number | null
    }
  | { readonly type: 'load-failed'; readonly message: string }
  /** `vectors`: the vectors of all items one after another, each `facts.dimensions` long. */
  | {
      readonly type: 'result'
      readonly batchId: number
      readonly vectors: Float32Array
      readonly predictMs: number
    }
  | { readonly type: 'batch-failed'; readonly batchId: number; readonly message: string }

/** The ids of all items one after another; for each item how many it has, and its `typeOneFrom` or else -1. */
export interface PackedItems {
  readonly ids: Int32Array
  readonly lengths: Int32Array
  readonly typesOneFrom: Int32Array
}

export function packItems(batch: readonly EncodedItem[]): PackedItems {
  const lengths = Int32Array.from(batch, (item) => item.ids.length)
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const item of batch) {
    ids.set(item.ids, at)
    at += item.ids.length
  }
  return { ids, lengths, typesOneFrom: Int32Array.from(batch, (item) => item.typeOneFrom ?? -1) }
}

export function unpackItems({ ids, lengths, typesOneFrom }: PackedItems): EncodedItem[] {
  let at = 0
  return Array.from(lengths, (length, place) => {
    at += length
    const own = ids.subarray(at - length, at)
    const typeOneFrom = typesOneFrom[place] ?? -1
    return typeOneFrom < 0 ? { ids: own } : { ids: own, typeOneFrom }
  })
}

export function packVectors(vectors: readonly Float32Array[], dimensions: number): Float32Array {
  const packed = new Float32Array(vectors.length * dimensions)
  vectors.forEach((vector, row) => {
    if (vector.length !== dimensions)
      throw new Error(`A vector has ${vector.length} values, not ${dimensions}`)
    packed.set(vector, row * dimensions)
  })
  return packed
}

/** Copies: a received array is a view on the whole message, which one kept row would keep alive. */
export function unpackVectors(packed: Float32Array, dimensions: number): Float32Array[] {
  return Array.from({ length: packed.length / dimensions }, (_, row) =>
    packed.slice(row * dimensions, (row + 1) * dimensions),
  )
}
