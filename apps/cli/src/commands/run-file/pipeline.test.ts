import { describe, expect, test } from 'vitest'
import { runPipeline } from './pipeline.js'

/** Computations that end when the test says so. */
function bench(count: number, { concurrency = 2, window = 4 } = {}) {
  const started = new Map<number, { resolve: (value: string) => void; reject: (error: Error) => void }>()
  const [stop, abort] = [new AbortController(), new AbortController()]
  const written: number[] = []
  let read = 0
  async function* chunks() {
    for (; read < count; ) yield read++
  }
  const ending = runPipeline<number, string>({
    chunks,
    compute: (chunk, working) =>
      new Promise((resolve, reject) => {
        started.set(chunk, { resolve, reject })
        working.addEventListener('abort', () => reject(working.reason))
      }),
    write: async (chunk) => void written.push(chunk),
    concurrency,
    window,
    stop: stop.signal,
    abort: abort.signal,
  })
  ending.catch(() => {})
  /** Lets everything that can go on now go on. */
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  const finish = async (chunk: number) => {
    started.get(chunk)?.resolve('done')
    await settle()
  }
  return { started, stop, abort, written, ending, settle, finish, reads: () => read }
}

describe('the pipeline', () => {
  test('writes in the order of reading, whatever ends first', async () => {
    const { finish, written, ending, settle } = bench(3, { concurrency: 3 })
    await settle()
    await finish(2)
    await finish(1)
    expect(written).toEqual([])
    await finish(0)
    expect(await ending).toBe(true)
    expect(written).toEqual([0, 1, 2])
  })

  test('computes so many at once and no more', async () => {
    const { started, finish, settle } = bench(10, { concurrency: 2 })
    await settle()
    expect([...started.keys()]).toEqual([0, 1])
    await finish(1)
    expect([...started.keys()]).toEqual([0, 1, 2])
  })

  test('reads no further than its window while one chunk holds up the writing', async () => {
    const { finish, settle, reads } = bench(100, { concurrency: 2, window: 4 })
    await settle()
    for (let chunk = 1; chunk < 100; chunk++) await finish(chunk)
    // Four in the window, and the one that was read and waits for room.
    expect(reads()).toBe(5)
    await finish(0)
    expect(reads()).toBeGreaterThan(5)
  })

  test('that is stopped reads no more, and writes what is under way', async () => {
    const { finish, settle, stop, ending, written } = bench(10, { concurrency: 2 })
    await settle()
    stop.abort()
    await finish(0)
    await finish(1)
    expect(await ending).toBe(false)
    expect(written).toEqual([0, 1])
  })

  test('that is aborted ends at once', async () => {
    const { settle, abort, ending, written } = bench(10)
    await settle()
    abort.abort(new Error('enough'))
    await expect(ending).rejects.toThrow('enough')
    expect(written).toEqual([])
  })

  test('writes what comes before a fault, and ends with that fault', async () => {
    const { started, finish, settle, ending, written } = bench(10, { concurrency: 3 })
    await settle()
    started.get(1)?.reject(new Error('broken'))
    await finish(2)
    await finish(0)
    await expect(ending).rejects.toThrow('broken')
    expect(written).toEqual([0])
    expect(started.size).toBe(3)
  })

  test('ends with a fault of the reading once what was read is written', async () => {
    const written: number[] = []
    const ending = runPipeline<number, number>({
      async *chunks() {
        yield 0
        throw new Error('the disk is gone')
      },
      compute: async (chunk) => chunk,
      write: async (chunk) => void written.push(chunk),
      concurrency: 1,
      window: 1,
      stop: new AbortController().signal,
      abort: new AbortController().signal,
    })
    await expect(ending).rejects.toThrow('the disk is gone')
    expect(written).toEqual([0])
  })
})
