/**
 * The bytes of a batch's images and recordings, read when its turn has come and not before: what waits in the batcher
 * holds none, so that a worker's memory is bounded by the batches it has out. Knows no batcher and no model process.
 */
import { MillraceError } from '@millrace/contracts'
import type { EncodedItem, LoadedModel } from '@millrace/model'
import type { ItemInFlight } from './items-in-flight.js'

export type WithBytes =
  | { item: ItemInFlight; encoded: EncodedItem }
  /** `fault`: a MillraceError is the item's own failure, anything else is not. */
  | { item: ItemInFlight; fault: unknown }

/** In the order of the items; never rejects. */
export function readBlobs(
  items: readonly ItemInFlight[],
  model: Pick<LoadedModel, 'encode'>,
): Promise<WithBytes[]> {
  return Promise.all(
    items.map(async (item) => {
      try {
        const bytes = await firstFound(item)
        return { item, encoded: model.encode({ ...item, bytes }) }
      } catch (fault) {
        return { item, fault }
      }
    }),
  )
}

/** @throws MillraceError inference_failed where no job has them any more; the error of Redis */
async function firstFound({ blobs }: ItemInFlight): Promise<Uint8Array> {
  for (const read of blobs) {
    const bytes = await read()
    if (bytes) return bytes
  }
  throw new MillraceError('inference_failed', 'The file of this input is not there any more')
}
