/**
 * What a worker tells every gateway when jobs are settled: one message per batch, small results in it.
 *
 * Layout: uint32 LE length of a JSON header, the header (a list of jobs with the sizes of their results), then the
 * results' bytes in the header's order.
 */
import type { JobProgress } from './record.js'

export interface SettledJob {
  jobId: string
  progress: JobProgress
  /** All results by slot where they are small enough to travel; else the reader asks the record. */
  outputs: ReadonlyMap<number, Buffer> | null
}

/** Results up to this size travel in the message: some five embeddings of 384 numbers. */
const inlineLimitBytes = 8192

/** All results of a job, where they are small enough for its message. */
export function travelling(results: ReadonlyMap<number, Buffer>): ReadonlyMap<number, Buffer> | null {
  let bytes = 0
  for (const result of results.values()) bytes += result.length
  return bytes <= inlineLimitBytes ? results : null
}

interface Header {
  jobId: string
  progress: JobProgress
  sizes: [slot: number, bytes: number][] | null
}

/** What the header says of one job. */
export function settledHeader({ jobId, progress, outputs }: SettledJob): string {
  const sizes = outputs && Array.from(outputs, ([slot, bytes]) => [slot, bytes.length] as [number, number])
  return JSON.stringify({ jobId, progress, sizes } satisfies Header)
}

/** As store-chunks.lua makes it of the headers and results that it has. */
export function encodeSettled(jobs: readonly SettledJob[]): Buffer {
  const json = Buffer.from(`[${jobs.map(settledHeader).join(',')}]`)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(json.length)
  return Buffer.concat([length, json, ...jobs.flatMap(({ outputs }) => [...(outputs?.values() ?? [])])])
}

/** @param wanted only these jobs are cut out; the rest is passed over */
export function decodeSettled(message: Buffer, wanted: (jobId: string) => boolean): SettledJob[] {
  const headerEnd = 4 + message.readUInt32LE(0)
  const header = JSON.parse(message.toString('utf8', 4, headerEnd)) as Header[]
  const jobs: SettledJob[] = []
  let at = headerEnd
  for (const { jobId, progress, sizes } of header) {
    const outputs = new Map<number, Buffer>()
    for (const [slot, bytes] of sizes ?? []) {
      outputs.set(slot, message.subarray(at, at + bytes))
      at += bytes
    }
    if (wanted(jobId)) jobs.push({ jobId, progress, outputs: sizes && outputs })
  }
  return jobs
}
