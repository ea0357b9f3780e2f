/**
 * What a worker and its model process say to each other. Both sides import this file, so an addition that one side
 * forgets does not compile. Sent with `serialization: 'advanced'`: typed arrays travel as bytes.
 */
import type { ItemError } from '@millrace/contracts'
import type { EncodedItem, EngineFacts, EngineSpec, ItemExtra } from './engine.js'

export type ToModelProcess =
  | { readonly type: 'load'; readonly engineModule: string; readonly spec: EngineSpec }
  | ({ readonly type: 'run'; readonly batchId: number } & PackedItems)
  /** The batch is to end early, with what it has. */
  | { readonly type: 'end'; readonly batchId: number }
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
  /** `vectors`: the vectors of all items one after another, each as long as its entry of `lengths`. */
  | {
      readonly type: 'result'
      readonly batchId: number
      readonly vectors: Float32Array
      readonly lengths: Int32Array
      readonly predictMs: number
    }
  /** More of an item that grows: ids of its tokens from `at` on. */
  | {
      readonly type: 'tokens'
      readonly batchId: number
      readonly place: number
      readonly at: number
      readonly ids: readonly number[]
    }
  | {
      readonly type: 'batch-failed'
      readonly batchId: number
      readonly message: string
      /** What an input of the batch is refused with; found by running its halves. */
      readonly refused?: ItemError
    }

/**
 * The ids of all items one after another; for each item how many it has, and its `typeOneFrom` or else -1. `extras`, by
 * item, only where one has any. What an item costs stays here: engines do not ask.
 */
export interface PackedItems {
  readonly ids: Int32Array
  readonly lengths: Int32Array
  readonly typesOneFrom: Int32Array
  readonly extras?: readonly (ItemExtra | undefined)[]
}

export function packItems(batch: readonly EncodedItem[]): PackedItems {
  const lengths = Int32Array.from(batch, (item) => item.ids.length)
  const ids = new Int32Array(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const item of batch) {
    ids.set(item.ids, at)
    at += item.ids.length
  }
  const typesOneFrom = Int32Array.from(batch, (item) => item.typeOneFrom ?? -1)
  if (batch.every(({ extra }) => extra === undefined)) return { ids, lengths, typesOneFrom }
  return { ids, lengths, typesOneFrom, extras: batch.map(({ extra }) => extra) }
}

export function unpackItems({ ids, lengths, typesOneFrom, extras }: PackedItems): EncodedItem[] {
  let at = 0
  return Array.from(lengths, (length, place) => {
    at += length
    const own = ids.subarray(at - length, at)
    const typeOneFrom = typesOneFrom[place] ?? -1
    const extra = extras?.[place]
    return {
      ids: own,
      ...(typeOneFrom < 0 ? {} : { typeOneFrom }),
      ...(extra === undefined ? {} : { extra }),
    }
  })
}

/** @param dimensions length that each must have; 0: any */
export function packVectors(
  vectors: readonly Float32Array[],
  dimensions: number,
): { vectors: Float32Array; lengths: Int32Array } {
  const lengths = Int32Array.from(vectors, (vector) => vector.length)
  const other = dimensions === 0 ? undefined : lengths.find((length) => length !== dimensions)
  if (other !== undefined) throw new Error(`A vector has ${other} values, not ${dimensions}`)
  const packed = new Float32Array(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const vector of vectors) {
    packed.set(vector, at)
    at += vector.length
  }
  return { vectors: packed, lengths }
}

/** Copies: a received array is a view on the whole message, which one kept row would keep alive. */
export function unpackVectors({
  vectors,
  lengths,
}: {
  vectors: Float32Array
  lengths: Int32Array
}): Float32Array[] {
  let at = 0
  return Array.from(lengths, (length) => {
    at += length
    return vectors.slice(at - length, at)
  })
}
