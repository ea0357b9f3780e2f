/**
 * The items that this worker is getting right now, by content key. One that is wanted again is joined, so that two of its
 * jobs never compute one item twice; one that nobody wants any more is not computed. Knows neither claims nor the model.
 */
import type { EncodedItem, ModelInput } from '@millrace/model'

/** The bytes of an image or a recording, read when they are needed; undefined where they are gone. */
export type ReadBlob = () => Promise<Uint8Array | undefined>

export interface ItemRequest extends Omit<ModelInput, 'bytes'> {
  key: string
  /** 0 goes first. An item that several jobs want keeps that of the first. */
  priority: number
  /** Absent where the input is all there is. */
  blob?: ReadBlob
  /** Its claim is this worker's already. */
  claimed?: boolean
  /** Its result is this request's alone, and is not kept. */
  unshared?: boolean
}

/** The forward pass that computed an item; one object per batch, so that its time is counted once. */
export interface ItemBatch {
  size: number
  predictMs: number
}

export interface ItemAnswer {
  bytes: Buffer
  via: 'hit' | 'joined' | 'computed'
  tokenizeMs: number
  batch: ItemBatch | null
}

export interface ItemInFlight extends ItemRequest {
  /** One for each job that wants it: one that was canceled has its bytes no more. */
  readonly blobs: ReadBlob[]
  readonly answer: Promise<ItemAnswer>
  /** Requests that wait for it; at 0 it is not worth computing any more. */
  wanted: number
  /** Empty until it is tokenized. */
  encoded: EncodedItem
  tokenizeMs: number
  /** What is sure of its text while it is written. */
  text: string
  /** Told of each growth. */
  readonly readers: ((text: string) => void)[]
  grow(text: string): void
  /** Answers all who wait. What has ended stays as it is. */
  finish(answer: ItemAnswer): void
  /** Tells all who wait that it was not computed. What has ended stays as it is. */
  abandon(why: unknown): void
}

/** Why an item was dropped. Whoever wanted it is gone, so nobody hears this. */
export class Unwanted extends Error {
  override readonly name = 'Unwanted'
}

export class ItemsInFlight {
  readonly #byKey = new Map<string, ItemInFlight>()

  /** The item of a request, wanted once more. `fresh`: it was not in flight, and is the caller's to get. */
  want(request: ItemRequest): { item: ItemInFlight; fresh: boolean } {
    const running = this.#byKey.get(request.key)
    const item = running ?? this.#start(request)
    item.wanted += 1
    if (request.blob) item.blobs.push(request.blob)
    return { item, fresh: running === undefined }
  }

  #start(request: ItemRequest): ItemInFlight {
    let resolve: (answer: ItemAnswer) => void = () => {}
    let reject: (why: unknown) => void = () => {}
    const answer = new Promise<ItemAnswer>((...both) => {
      ;[resolve, reject] = both
    })
    // Where nobody waits any more, nobody hears of it.
    answer.catch(() => {})
    // In the same step as its end: nobody may join what has ended.
    const forget = () => {
      if (this.#byKey.get(item.key) === item) this.#byKey.delete(item.key)
    }
    const item: ItemInFlight = {
      blobs: [],
      answer,
      wanted: 0,
      encoded: { ids: new Int32Array() },
      tokenizeMs: 0,
      text: '',
      readers: [],
      grow: (text) => {
        item.text = text
        for (const read of item.readers) read(text)
      },
      finish: (found) => {
        forget()
        resolve(found)
      },
      abandon: (why) => {
        forget()
        reject(why)
      },
      // Last: V8 makes many fields behind a spread one by one, at thirty times the cost.
      ...request,
    }
    this.#byKey.set(item.key, item)
    return item
  }
}

/** The same answer to one who joined: what it cost is counted where it was asked for first. */
export function asJoined({ bytes }: Pick<ItemAnswer, 'bytes'>): ItemAnswer {
  return { bytes, via: 'joined', tokenizeMs: 0, batch: null }
}
