import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { repairSaved } from './repair-saved.js'

/** The part of onnx.proto that a saved graph of the test has, and a field that no one here reads. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Entry { string key = 1; string value = 2; }
  message Tensor { repeated int64 dims = 1; string name = 8; repeated Entry external = 13; int32 location = 14; }
  message Attribute { string name = 1; Graph g = 6; repeated Graph graphs = 11; }
  message Node { string name = 3; repeated Attribute attribute = 5; }
  message Graph { repeated Node node = 1; string name = 2; repeated Tensor initializer = 5; }
  message Model { int64 irVersion = 1; string producer = 2; Graph graph = 7; }
`)
const Model = root.lookupType('Model')

interface Tensor {
  name: string
  dims: number[]
  external: { key: string; value: string }[]
  location: number
}

interface Graph {
  name: string
  initializer: Tensor[]
  node: { name: string; attribute: { name: string; g?: Graph; graphs?: Graph[] }[] }[]
}

let dir: string
let file: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-repair-'))
  file = join(dir, 'model.onnx')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** Pieces of weights one after another at any place, as ONNX Runtime saves them. */
class Saved {
  readonly #pieces: Buffer[] = []
  #size = 0

  place(length: number): string {
    // One byte before each: no place is aligned by chance alone.
    const piece = Buffer.from(Array.from({ length: length + 1 }, (_, i) => (this.#size + 7 * i) & 255))
    this.#pieces.push(piece)
    this.#size += piece.length
    return `${this.#size - length}`
  }

  tensor(name: string, length: number, packed: readonly number[]): Tensor {
    const external = [
      { key: 'location', value: 'model.onnx.data' },
      { key: 'offset', value: this.place(length) },
      { key: 'length', value: `${length}` },
    ]
    if (packed.length > 0) {
      const blobs = packed.map((bytes) => `${this.place(bytes)};${bytes};0`)
      external.push({ key: `prepacked_${packed.length - 1}`, value: `MatMul+42|${blobs.join('|')}` })
    }
    return { name, dims: [1, length], external, location: 1 }
  }

  write(graph: Graph): Buffer {
    const data = Buffer.concat(this.#pieces)
    writeFileSync(`${file}.data`, data)
    writeFileSync(file, Model.encode(Model.fromObject({ irVersion: 9, producer: 'a test', graph })).finish())
    return data
  }
}

function tensorsOf(graph: Graph): Tensor[] {
  const inner = (graph.node ?? []).flatMap(({ attribute }) =>
    attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...(graphs ?? [])]),
  )
  return [...(graph.initializer ?? []), ...inner.flatMap(tensorsOf)]
}

/** Where the bytes of a tensor lie: its own, then those that were packed of it. */
function placesOf({ external }: Tensor): { offset: number; length: number }[] {
  const own = Object.fromEntries(external.map(({ key, value }) => [key, value]))
  const packed = external.filter(({ key }) => key.startsWith('prepacked'))
  const blobs = packed.flatMap(({ value }) => value.split('|').slice(1))
  return [`${own.offset};${own.length}`, ...blobs].map((place) => {
    const [offset, length] = place.split(';').map(Number)
    return { offset: offset ?? Number.NaN, length: length ?? Number.NaN }
  })
}

function readGraph(): Graph {
  const model = Model.toObject(Model.decode(readFileSync(file)), { longs: Number }) as { graph: Graph }
  return model.graph
}

/** A graph without what may change. */
function withoutPlaces(graph: Graph): string {
  return JSON.stringify(graph)
    .replaceAll(/\b\d+;/g, ';')
    .replaceAll(/"offset","value":"\d+"/g, '"offset"')
}

const sizes = fc.record({
  own: fc.integer({ min: 1, max: 300 }),
  packed: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 3 }),
})

test('every piece lies at a multiple of 64 and holds what it held, also in the branches of a node', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sizes, { maxLength: 6 }), sizes, sizes, async (outer, branch, loop) => {
      const saved = new Saved()
      const named = (name: string, { own, packed }: typeof branch) => saved.tensor(name, own, packed)
      const bare = (name: string, tensor: Tensor): Graph => ({ name, initializer: [tensor], node: [] })
      const attribute = [
        { name: 'then', g: bare('inner', named('branch', branch)) },
        { name: 'many', graphs: [bare('looped', named('loop', loop))] },
      ]
      const graph: Graph = {
        name: 'outer',
        initializer: outer.map((one, i) => named(`weight ${i}`, one)),
        node: [{ name: 'if', attribute }],
      }
      const before = saved.write(graph)
      const old = tensorsOf(readGraph()).flatMap(placesOf)
      const was = withoutPlaces(readGraph())

      await repairSaved(file)

      const after = readFileSync(`${file}.data`)
      const places = tensorsOf(readGraph()).flatMap(placesOf)
      expect(withoutPlaces(readGraph())).toBe(was)
      expect(places.map(({ offset }) => offset % 64)).toEqual(places.map(() => 0))
      for (const [i, { offset, length }] of places.entries()) {
        const from = old[i]?.offset ?? Number.NaN
        expect(after.subarray(offset, offset + length)).toEqual(before.subarray(from, from + length))
      }
      const inOrder = [...places].sort((a, b) => a.offset - b.offset)
      for (const [i, { offset, length }] of inOrder.entries()) {
        expect(offset + length).toBeLessThanOrEqual(inOrder[i + 1]?.offset ?? after.length)
      }
    }),
    { numRuns: 50 },
  )
})

test('what a branch names twice it names once, and one branch takes nothing from another', async () => {
  const saved = new Saved()
  const branch = (name: string): Graph => {
    const small = { name: 'shared', dims: [1], external: [], location: 0 }
    return { name, initializer: [small, saved.tensor('large', 80, []), small], node: [] }
  }
  const attribute = [
    { name: 'then', g: branch('then') },
    { name: 'else', g: branch('else') },
  ]
  saved.write({ name: 'outer', initializer: [], node: [{ name: 'if', attribute }] })
  await repairSaved(file)
  expect(tensorsOf(readGraph()).map(({ name }) => name)).toEqual(['shared', 'large', 'shared', 'large'])
})

test('a graph whose weights all lie in it stays as it is, without a file beside it', async () => {
  const saved = new Saved()
  saved.write({ name: 'small', initializer: [], node: [] })
  rmSync(`${file}.data`)
  const before = readFileSync(file)
  await repairSaved(file)
  expect(readFileSync(file)).toEqual(before)
})

test('a file that is shorter than the graph says, and a place that is none, are errors', async () => {
  const saved = new Saved()
  const tensor = saved.tensor('weight', 100, [])
  saved.write({ name: 'cut', initializer: [tensor], node: [] })
  writeFileSync(`${file}.data`, 'short')
  await expect(repairSaved(file)).rejects.toThrow(/shorter than the graph says/)

  tensor.external = tensor.external.filter(({ key }) => key !== 'length')
  saved.write({ name: 'cut', initializer: [tensor], node: [] })
  await expect(repairSaved(file)).rejects.toThrow(/'undefined' where a place/)
})
