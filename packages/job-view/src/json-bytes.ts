/**
 * JSON written out piece by piece as bytes of UTF-8, as it is sent. An answer of many vectors is long: as a text it would be
 * joined, measured and copied once more each time it changes hands.
 */
import { widestFloat, writeFloat } from './float-text.js'

const comma = 44
const openBracket = 91
const closeBracket = 93
/** What is written lies in slabs of this size, one answer behind the other: a buffer of its own costs more than most answers. */
const slabBytes = 1 << 18
/** UTF-8 takes at most so many bytes for each unit of UTF-16. */
const bytesPerUnit = 3

export class JsonBytes {
  #slab = Buffer.allocUnsafeSlow(slabBytes)
  /** What is being written. */
  #start = 0
  #end = 0

  /** JSON text, or a part of it. */
  text(text: string): void {
    this.#makeRoom(bytesPerUnit * text.length)
    this.#end += this.#slab.write(text, this.#end)
  }

  bytes(json: Uint8Array): void {
    this.#makeRoom(json.length)
    this.#slab.set(json, this.#end)
    this.#end += json.length
  }

  /** An array of numbers, each as `shortFloat` gives it. */
  floats(values: Float32Array): void {
    this.#makeRoom(widestFloat * (values.length + 1))
    const bytes = this.#slab
    let end = this.#end
    bytes[end++] = openBracket
    for (let i = 0; i < values.length; i++) {
      if (i > 0) bytes[end++] = comma
      end = writeFloat(bytes, end, values[i] ?? 0)
    }
    bytes[end++] = closeBracket
    this.#end = end
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#end - this.#start
  }

  /** A copy of what was written from that place on, for who keeps it. */
  since(place: number): Buffer<ArrayBuffer> {
    return Buffer.from(this.#slab.subarray(this.#start + place, this.#end))
  }

  /** What was written, which nothing else will be written over, to begin anew behind it. */
  take(): Buffer<ArrayBuffer> {
    const taken = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    // The rest of a large one would stay for long.
    if (this.#slab.length > slabBytes) this.#useSlab(slabBytes)
    return taken
  }

  /** Forgets what was written and not taken. */
  reset(): void {
    this.#end = this.#start
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes > this.#slab.length) this.#useSlab(Math.max(slabBytes, 2 * (this.length + bytes)))
  }

  /** What is being written moves along. */
  #useSlab(bytes: number): void {
    const slab = Buffer.allocUnsafeSlow(bytes)
    this.#slab.copy(slab, 0, this.#start, this.#end)
    this.#end -= this.#start
    this.#start = 0
    this.#slab = slab
  }
}

const shared = new JsonBytes()

/** @param write writes all of it, and must not call this function itself */
export function jsonBytes(write: (json: JsonBytes) => void): Buffer<ArrayBuffer> {
  // Whoever came before may have thrown.
  shared.reset()
  write(shared)
  return shared.take()
}
