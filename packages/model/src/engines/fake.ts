/**
 * An engine without a model, for tests: a vector depends on its ids and token types alone, and chosen token ids
 * misbehave. Which ids do what is in `spec.options` (names: FakeOptions), so that tests through a real tokenizer can
 * use a word for it.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import type { CreateEngine, EncodedItem } from '../engine.js'

/** Options of the fake engine; all optional. */
export interface FakeOptions {
  dimensions: number
  /** A batch with this id ends the process with SIGKILL. */
  crashId: number
  /** A batch with this id never ends and blocks the process, as a stuck native call would. */
  hangId: number
  /** A batch with this id throws. */
  throwId: number
  /** A batch with this id blocks forever while `holdFile` does not exist, which it creates; it runs afterwards. */
  holdId: number
  holdFile: string
  /** Every batch blocks the process this long. */
  batchMs: number
  /** Makes a vector depend on the longest item beside it, as a dynamically quantised model does. */
  companyChanges: boolean
  load: 'throw' | 'crash' | 'hang'
  /** Loading throws on any other device. */
  onlyDevice: string
  /** The second load never ends; it writes its process id to `<holdLoadFile>.again`. */
  holdLoadFile: string
  /** Loading throws while this file exists; loading creates it. */
  loadOnceFile: string
}

export const createEngine: CreateEngine = (spec) => {
  const options: Partial<FakeOptions> = spec.options
  const dimensions = options.dimensions ?? 8
  return {
    async load() {
      if (options.load === 'throw') throw new Error('the fake engine was told not to load')
      if (options.onlyDevice !== undefined && options.onlyDevice !== spec.device) {
        throw new Error(`the fake engine runs on ${options.onlyDevice}, not on ${spec.device}`)
      }
      if (options.loadOnceFile !== undefined && !createFile(options.loadOnceFile)) {
        throw new Error('the fake engine was told to load once')
      }
      if (options.holdLoadFile !== undefined && !createFile(options.holdLoadFile)) {
        writeFileSync(`${options.holdLoadFile}.again`, String(process.pid))
        block()
      }
      if (options.load === 'crash') die()
      if (options.load === 'hang') block()
      return { dimensions }
    },
    async run(batch) {
      misbehave(batch, options)
      const company = options.companyChanges === true ? Math.max(...batch.map((item) => item.ids.length)) : 0
      return batch.map((item) => fakeVector(item.ids, dimensions, company, item.typeOneFrom))
    },
    async close() {},
  }
}

/** The vector of the fake engine: unit length, from the ids and their types alone. */
export function fakeVector(ids: Int32Array, dimensions = 8, company = 0, typeOneFrom = 0): Float32Array {
  let state = (2166136261 ^ company ^ (typeOneFrom << 16)) >>> 0
  for (const id of ids) state = Math.imul(state ^ id, 16777619) >>> 0
  const vector = Float32Array.from({ length: dimensions }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / norm)
}

function misbehave(batch: readonly EncodedItem[], options: Partial<FakeOptions>): void {
  const holds = (id: number | undefined) => id !== undefined && batch.some((item) => item.ids.includes(id))
  if (options.batchMs !== undefined) block(options.batchMs)
  if (holds(options.throwId)) throw new Error('the fake engine was told to throw')
  if (holds(options.crashId)) die()
  if (holds(options.hangId)) block()
  if (holds(options.holdId) && options.holdFile !== undefined && createFile(options.holdFile)) block()
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  return block()
}

function block(ms = Number.POSITIVE_INFINITY): never {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  return undefined as never
}

/** @returns whether this call created it */
function createFile(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx'))
    return true
  } catch {
    return false
  }
}
