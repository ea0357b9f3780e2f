/**
 * `millrace run`, from the input to the sink: lines into chunks, chunks through the fleet, results in the order of the lines.
 * Options, signals and words are in ../run.ts.
 */
import { addAbortSignal, type Readable } from 'node:stream'
import { type ComputedChunk, type ComputeOptions, computeChunk } from './compute-chunk.js'
import { type Chunk, chunksOf, inputLines } from './input-lines.js'
import { runPipeline } from './pipeline.js'
import type { ResultSink } from './result-sink.js'

export interface RunFileOptions extends Omit<ComputeOptions, 'runId'> {
  readonly source: Readable
  readonly sink: ResultSink
  /** Items per job. */
  readonly batch: number
  readonly concurrency: number
  readonly stop: AbortSignal
  readonly abort: AbortSignal
  /** A chunk is written; `lines` and `failed` are of this session. */
  onWritten(written: { lines: number; failed: number; cached: number; bytes: number }): void
  /** Lines that an earlier run wrote were read over, up to here. */
  onSkipped(bytes: number): void
}

/** Bytes of lines in one chunk: a job stays well below a gateway's body limit, and a window of them in memory. */
const chunkBytes = 1024 * 1024
/** Chunks read and not yet written, per chunk that is computed. */
const windowPerLane = 4

/**
 * @returns whether every line has its result; false after a stop
 * @throws as computeChunk, the sink and the source do
 */
export function runFile(options: RunFileOptions): Promise<boolean> {
  const { sink, batch, concurrency, stop, abort } = options
  const compute = { ...options, runId: sink.runId }
  return runPipeline<Chunk, ComputedChunk>({
    chunks: (reading) => chunksToDo(options, { maxItems: batch, maxBytes: chunkBytes }, reading),
    compute: (chunk, working) => computeChunk(chunk, compute, working),
    write: async ({ endsAt }, { results, cached }) => {
      await sink.write(results)
      const fresh = results.filter(({ index }) => index >= sink.next)
      const failed = fresh.filter((result) => 'error' in result).length
      options.onWritten({ lines: fresh.length, failed, cached, bytes: endsAt })
    },
    concurrency,
    window: concurrency * windowPerLane,
    stop,
    abort,
  })
}

/**
 * The chunks that are not wholly written. Those before are read too: only so are the chunks after them cut as they were, which
 * makes the one that was under way at a crash the same job again.
 */
async function* chunksToDo(
  { source, sink, onSkipped }: RunFileOptions,
  limits: { maxItems: number; maxBytes: number },
  reading: AbortSignal,
): AsyncGenerator<Chunk> {
  const lines = inputLines(addAbortSignal(reading, source))
  for await (const chunk of chunksOf(lines, limits)) {
    if (chunk.lastIndex >= sink.next) yield chunk
    else onSkipped(chunk.endsAt)
  }
}
