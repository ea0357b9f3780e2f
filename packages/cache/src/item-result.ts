/**
 * One item's result as bytes: what the cache holds and what a record's output holds. JSON is made at the HTTP edge only.
 *
 * Layout: `M` `R`, version (1), kind, uint32 LE count, then by kind:
 * - 0, vector: `count` float32 LE values
 * - 1, error: `count` bytes of UTF-8 JSON `{ code, detail }`
 * - 2, labels: `count` float32 LE scores, then their names to the end, a UTF-8 JSON array of strings
 * - 3, score: one float32 LE value
 * - 4, candidates: `count` bytes of UTF-8 JSON, an array of `Candidate`s, best first
 * - 5, value: `count` bytes of UTF-8 JSON, written out as it is
 * So a result says what it is: whoever writes it out needs neither the model nor its facts, which may be others by then.
 */
import { endianness } from 'node:os'
import type { Candidate, ItemError } from '@millrace/contracts'

export type ItemResult =
  | { kind: 'vector'; values: Float32Array }
  | { kind: 'error'; error: ItemError }
  /** A score of every label, in the model's own order. */
  | { kind: 'labels'; labels: readonly string[]; scores: Float32Array }
  | { kind: 'score'; score: number }
  | { kind: 'candidates'; candidates: readonly Candidate[] }
  /** What a task makes of an item whose result is no row of numbers. */
  | { kind: 'value'; value: unknown }

const headerBytes = 8
const version = 1
const kinds = { vector: 0, error: 1, labels: 2, score: 3, candidates: 4, value: 5 } as const

if (endianness() !== 'LE')
  throw new Error('Millrace stores float32 as the machine holds it: little-endian only')

/** @throws Error where names and scores are not equally many */
export function encodeResult(result: ItemResult): Buffer {
  switch (result.kind) {
    case 'vector':
      return encodeVector(result.values)
    case 'error':
      return encodeError(result.error)
    case 'labels':
      return encodeLabels(result.labels, result.scores)
    case 'score':
      return encodeScore(result.score)
    case 'candidates':
      return encodeCandidates(result.candidates)
    case 'value':
      return jsonBytes(kinds.value, result.value)
  }
}

export function encodeVector(values: Float32Array): Buffer {
  const bytes = header(kinds.vector, values.length, values.byteLength)
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), headerBytes)
  return bytes
}

/** @throws Error where names and scores are not equally many */
export function encodeLabels(labels: readonly string[], scores: Float32Array): Buffer {
  if (labels.length !== scores.length) throw new Error(`${scores.length} scores of ${labels.length} labels`)
  const names = Buffer.from(JSON.stringify(labels))
  const bytes = header(kinds.labels, scores.length, scores.byteLength + names.length)
  bytes.set(new Uint8Array(scores.buffer, scores.byteOffset, scores.byteLength), headerBytes)
  bytes.set(names, headerBytes + scores.byteLength)
  return bytes
}

export function encodeScore(score: number): Buffer {
  const bytes = header(kinds.score, 1, 4)
  bytes.writeFloatLE(score, headerBytes)
  return bytes
}

export function encodeError(error: ItemError): Buffer {
  return jsonBytes(kinds.error, { code: error.code, detail: error.detail })
}

export function encodeCandidates(candidates: readonly Candidate[]): Buffer {
  return jsonBytes(kinds.candidates, candidates)
}

function jsonBytes(kind: number, value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value))
  const bytes = header(kind, json.length, json.length)
  bytes.set(json, headerBytes)
  return bytes
}

/** @throws Error on bytes that this version did not write; a cache treats that as a miss */
export function decodeResult(bytes: Buffer): ItemResult {
  const count = checkedCount(bytes)
  switch (bytes[3]) {
    case kinds.vector:
      return { kind: 'vector', values: floats(bytes, count) }
    case kinds.labels: {
      const labels = JSON.parse(bytes.toString('utf8', headerBytes + count * 4)) as string[]
      return { kind: 'labels', labels, scores: floats(bytes, count) }
    }
    case kinds.score:
      return { kind: 'score', score: bytes.readFloatLE(headerBytes) }
    case kinds.candidates:
      return {
        kind: 'candidates',
        candidates: JSON.parse(bytes.toString('utf8', headerBytes)) as Candidate[],
      }
    case kinds.value:
      return { kind: 'value', value: JSON.parse(bytes.toString('utf8', headerBytes)) }
    default:
      return { kind: 'error', error: JSON.parse(bytes.toString('utf8', headerBytes)) as ItemError }
  }
}

/** Copied: a reply may lie unaligned in a socket buffer, and must not keep that buffer alive. */
function floats(bytes: Buffer, count: number): Float32Array {
  const values = new Float32Array(count)
  new Uint8Array(values.buffer).set(bytes.subarray(headerBytes, headerBytes + count * 4))
  return values
}

/** Whether these bytes hold a vector, told without decoding them. */
export function isVectorResult(bytes: Buffer): boolean {
  return bytes[3] === kinds.vector
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
  if (!isWhole(bytes[3], count, bytes.length - headerBytes)) throw new Error('a damaged item result')
  return count
}

function isWhole(kind: number | undefined, count: number, payload: number): boolean {
  if (kind === kinds.vector) return payload === count * 4
  if (kind === kinds.error || kind === kinds.candidates || kind === kinds.value) return payload === count
  // The names end the bytes: a JSON array has two at least.
  if (kind === kinds.labels) return payload >= count * 4 + 2
  return kind === kinds.score && count === 1 && payload === 4
}
