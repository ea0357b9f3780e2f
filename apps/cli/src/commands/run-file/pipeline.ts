/**
 * Chunks in, results out in the same order, a bounded number of them in between. Knows no file and no network: what reads,
 * computes and writes is passed in.
 */
import { Slots } from './slots.js'

export interface Pipeline<C, R> {
  /** Reads until it is through or the signal aborts; it may then throw. */
  chunks(reading: AbortSignal): AsyncIterable<C>
  compute(chunk: C, working: AbortSignal): Promise<R>
  /** Called for one chunk at a time, in order; the reading waits for it. */
  write(chunk: C, result: R): Promise<void>
  /** Chunks that are computed at once. */
  readonly concurrency: number
  /** Chunks that are read and not yet written: one that is slow holds up so many others, no more. */
  readonly window: number
  /** Ends the reading; what is under way is still computed and written. */
  readonly stop: AbortSignal
  /** Ends everything at once. */
  readonly abort: AbortSignal
}

/**
 * @returns whether everything was read and written; false after a stop
 * @throws the fault of the first chunk that has one, once all before it are written; the reason of `abort`
 */
export async function runPipeline<C, R>(pipeline: Pipeline<C, R>): Promise<boolean> {
  const [fault, left] = [new AbortController(), new AbortController()]
  const reading = AbortSignal.any([fault.signal, pipeline.stop, pipeline.abort])
  const working = AbortSignal.any([left.signal, pipeline.abort])
  const lanes = new Slots(pipeline.concurrency)
  const room = new Slots(pipeline.window)
  const stopReading = () => fault.abort()
  let written: Promise<void> = Promise.resolve()
  let readFault: { error: unknown } | undefined
  let readAll = false
  try {
    for await (const chunk of pipeline.chunks(reading)) {
      if (!(await room.take(reading)) || !(await lanes.take(reading))) break
      const computed = pipeline.compute(chunk, working)
      computed.catch(stopReading)
      computed.finally(() => lanes.give()).catch(() => {})
      written = written.then(async () => {
        await pipeline.write(chunk, await computed)
        room.give()
      })
      written.catch(stopReading)
    }
    readAll = !reading.aborted
  } catch (error) {
    if (!reading.aborted) readFault = { error }
  }
  try {
    await written
  } finally {
    left.abort()
  }
  if (readFault) throw readFault.error
  return readAll
}
