/**
 * What ONNX Runtime 1.30 saves wrongly, made right:
 * - Weights beside a graph lie at any place of their file. It packs some with inner parts at multiples of 64 of the address;
 *   mapped from such a place, those parts are looked for where they are not, and the numbers are wrong. Here each piece gets a
 *   place at a multiple of 64, as it has in memory.
 * - Of a branch of `If` the weights are named twice, and the graph is refused when it is loaded. Here once.
 *
 * Of a graph only so much is read: onnx.proto (messages and field numbers), and tensor_external_data_info.cc of ONNX Runtime
 * (`prepacked_*` entries: `key|offset;length;checksum[|...]`).
 */
import { type FileHandle, open, readFile, rename, writeFile } from 'node:fs/promises'
import protobuf from 'protobufjs/minimal.js'

/** ONNX Runtime's `MlasGetPreferredBufferAlignment`. */
const alignment = 64
const copyAtOnce = 4 << 20

type Message = 'model' | 'graph' | 'node' | 'attribute' | 'tensor'

/** On the way to a tensor, by field number. */
const messagesIn: Record<Message, Readonly<Record<number, Message>>> = {
  model: { 7: 'graph' },
  graph: { 1: 'node', 5: 'tensor' },
  node: { 5: 'attribute' },
  attribute: { 6: 'graph', 11: 'graph' },
  tensor: {},
}
/** Of `TensorProto`. */
const nameField = 8
const externalDataField = 13
const lengthDelimited = 2

interface Move {
  from: number
  to: number
  length: number
}

/** @param graph its weights are in `<graph>.data`; both are written anew  @throws Error where they are not as they should be */
export async function repairSaved(graph: string): Promise<void> {
  const moves: Move[] = []
  const repaired = rewrite('model', await readFile(graph), newPlaces(moves))
  // Where all weights are small they lie in the graph, and there is no other file.
  if (moves.length > 0) await moveAll(`${graph}.data`, moves)
  await writeFile(graph, repaired)
}

async function moveAll(data: string, moves: readonly Move[]): Promise<void> {
  const moved = `${data}.repaired`
  const from = await open(data)
  const to = await open(moved, 'w')
  try {
    for (const move of moves) await copy(from, to, move)
  } finally {
    await from.close()
    await to.close()
  }
  await rename(moved, data)
}

/** Gives each piece its new place, in the order in which they are named. */
function newPlaces(moves: Move[]): (from: number, length: number) => number {
  let end = 0
  return (from, length) => {
    const to = Math.ceil(end / alignment) * alignment
    moves.push({ from, to, length })
    end = to + length
    return to
  }
}

type PlaceOf = ReturnType<typeof newPlaces>

/** The same message with other places in it; all that we do not know stays as it is, byte for byte. */
function rewrite(message: Message, bytes: Uint8Array, placeOf: PlaceOf): Uint8Array {
  const reader = protobuf.Reader.create(bytes)
  const parts: Uint8Array[] = []
  const entries: { tag: number; key: string; value: string }[] = []
  const names = new Set<string>()
  while (reader.pos < reader.len) {
    const start = reader.pos
    const tag = reader.uint32()
    const [field, wireType] = [tag >>> 3, tag & 7]
    const inner = messagesIn[message][field]
    if (wireType === lengthDelimited && inner) {
      const known = reader.bytes()
      if (inner === 'tensor') {
        const name = nameOf(known)
        if (names.has(name)) continue
        names.add(name)
      }
      const changed = rewrite(inner, known, placeOf)
      parts.push(protobuf.Writer.create().uint32(tag).bytes(changed).finish())
    } else if (message === 'tensor' && field === externalDataField) {
      entries.push({ tag, ...readEntry(reader.bytes()) })
    } else {
      reader.skipType(wireType)
      parts.push(bytes.subarray(start, reader.pos))
    }
  }
  for (const { tag, key, value } of moved(entries, placeOf)) {
    const entry = protobuf.Writer.create().uint32(10).string(key).uint32(18).string(value).finish()
    parts.push(protobuf.Writer.create().uint32(tag).bytes(entry).finish())
  }
  return Buffer.concat(parts)
}

function nameOf(tensor: Uint8Array): string {
  const reader = protobuf.Reader.create(tensor)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag >>> 3 === nameField) return reader.string()
    reader.skipType(tag & 7)
  }
  throw new Error('The saved graph has weights without a name')
}

/** A `StringStringEntryProto`. */
function readEntry(bytes: Uint8Array): { key: string; value: string } {
  const reader = protobuf.Reader.create(bytes)
  const entry = { key: '', value: '' }
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag === 10) entry.key = reader.string()
    else if (tag === 18) entry.value = reader.string()
    else reader.skipType(tag & 7)
  }
  return entry
}

/** What a tensor says of its bytes, and of what was packed from them. */
function moved<T extends { key: string; value: string }>(entries: readonly T[], placeOf: PlaceOf): T[] {
  if (entries.length === 0) return []
  const numberAt = (key: string) => wholeNumber(entries.find((entry) => entry.key === key)?.value)
  const offset = placeOf(numberAt('offset'), numberAt('length'))
  return entries.map((entry) => {
    if (entry.key === 'offset') return { ...entry, value: `${offset}` }
    if (!entry.key.startsWith('prepacked')) return entry
    const [name, ...blobs] = entry.value.split('|')
    const places = blobs.map((blob) => {
      const [from, length, ...rest] = blob.split(';')
      return [placeOf(wholeNumber(from), wholeNumber(length)), length, ...rest].join(';')
    })
    return { ...entry, value: [name, ...places].join('|') }
  })
}

function wholeNumber(text: string | undefined): number {
  const number = Number(text)
  if (text === undefined || text === '' || !Number.isSafeInteger(number) || number < 0) {
    throw new Error(`The saved graph names '${text}' where a place in the file of its weights should be`)
  }
  return number
}

async function copy(from: FileHandle, to: FileHandle, move: Move): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.min(copyAtOnce, move.length))
  for (let done = 0; done < move.length; ) {
    const wanted = Math.min(piece.length, move.length - done)
    const { bytesRead } = await from.read(piece, 0, wanted, move.from + done)
    if (bytesRead === 0) throw new Error('The file of the weights is shorter than the graph says')
    await to.writev([piece.subarray(0, bytesRead)], move.to + done)
    done += bytesRead
  }
}
