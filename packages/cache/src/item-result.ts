/**
 * One item's result as bytes: what the cache holds and what a record's output holds. JSON is made at the HTTP edge only.
 *
 * Layout: `M` `R`, version (1), kind (0 vector, 1 error), uint32 LE count, then `count` float32 LE values or `count`
 * bytes of UTF-8 JSON `{ code, detail }`.
 */
import { endianness } from 'node:os'
import type { ItemError } from '@millrace/contracts'

export type ItemResult = { kind: 'vector'; values: Float32Array } | { kind: 'error'; error: ItemError }

const headerBytes = 8
const version = 1
const kinds = { vector: 0, error: 1 } as const

if (endianness() !== 'LE')
  throw new Error('Millrace stores float32 as the machine holds it: little-endian only')

export function encodeVector(values: Float32Array): Buffer {
  const bytes = header(kinds.vector, values.length, values.byteLength)
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), headerBytes)
  return bytes
}

export function encodeError(error: ItemError): Buffer {
  const json = Buffer.from(JSON.stringify({ code: error.code, detail: error.detail }))
  const bytes = header(kinds.error, json.length, json.length)
  bytes.set(json, headerBytes)
  return bytes
}

/** @throws Error on bytes that this version did not write; a cache treats that as a miss */
export function decodeResult(bytes: Buffer): ItemResult {
  const count = checkedCount(bytes)
  if (bytes[3] === kinds.vector) {
    // Copied: a reply may lie unaligned in a socket buffer, and must not keep that buffer alive.
    const values = new Float32Array(count)
    new Uint8Array(values.buffer).set(bytes.subarray(headerBytes))
    return { kind: 'vector', values }
  }
  return { kind: 'error', error: JSON.parse(bytes.toString('utf8', headerBytes)) as ItemError }
}

/** Whether these bytes hold a failure, told without decoding them. */
export function isErrorResult(bytes: Buffer): boolean {
  return bytes[3] === kinds.error
}

/** Whether `decodeResult` would take these bytes. */
export function isResult(bytes: Buffer): boolean {
  try {
    checkedCount(bytes)
    return true
  } catch {
    return false
  }
}

/** The vector's bytes, little-endian float32, without its header (no copy). */
export function vectorBytes(bytes: Buffer): Buffer {
  return bytes.subarray(headerBytes)
}

function header(kind: number, count: number, payloadBytes: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(headerBytes + payloadBytes)
  bytes.write('MR', 0, 'latin1')
  bytes[2] = version
  bytes[3] = kind
  bytes.writeUInt32LE(count, 4)
  return bytes
}

function checkedCount(bytes: Buffer): number {
  if (bytes.length < headerBytes || bytes[0] !== 0x4d || bytes[1] !== 0x52 || bytes[2] !== version) {
    throw new Error('not an item result of this version')
  }
  const count = bytes.readUInt32LE(4)
  const payload = bytes[3] === kinds.vector ? count * 4 : count
  if ((bytes[3] !== kinds.vector && bytes[3] !== kinds.error) || bytes.length !== headerBytes + payload) {
    throw new Error('a damaged item result')
  }
  return count
}
