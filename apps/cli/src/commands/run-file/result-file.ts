/**
 * A file of JSON lines that only grows, each with its `index`: the output, or the errors beside it. Cut back at opening to what is
 * whole, so that a crash in mid-line leaves no trace. Knows nothing of what else is in a line.
 */
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CommandFailure } from '../exit-code.js'
import { inputLines } from './input-lines.js'

const blockBytes = 64 * 1024
const newline = 10

export class ResultFile {
  readonly path: string
  readonly #file: FileHandle
  #size: number

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path
    this.#file = file
    this.#size = size
  }

  /** Empty, whatever was there. */
  static async create(path: string): Promise<ResultFile> {
    return new ResultFile(path, await open(path, 'w'), 0)
  }

  /**
   * Goes on after the last whole line.
   * @returns the file, and the index of the line to go on with
   * @throws CommandFailure when the last line is none of ours
   */
  static async resume(path: string): Promise<{ file: ResultFile; next: number }> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666)
    try {
      const { size } = await file.stat()
      const end = (await newlineBefore(file, size)) + 1
      const next = end === 0 ? 0 : (await lastIndex(file, end, path)) + 1
      await file.truncate(end)
      return { file: new ResultFile(path, file, end), next }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Goes on before the first line of `next` or later: what was written about lines that the output does not hold yet. */
  static async resumeBefore(path: string, next: number): Promise<ResultFile> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666)
    const { size } = await file.stat()
    const whole = (await newlineBefore(file, size)) + 1
    let end = 0
    for await (const { bytes, endsAt } of inputLines(createReadStream(path), Number.POSITIVE_INFINITY)) {
      if (endsAt > whole || (indexOf(bytes?.toString() ?? '') ?? next) >= next) break
      end = endsAt
    }
    await file.truncate(end)
    return new ResultFile(path, file, end)
  }

  /** @throws CommandFailure when someone else writes into this file */
  async write(text: string): Promise<void> {
    const bytes = Buffer.from(text)
    const { size } = await this.#file.stat()
    if (size !== this.#size) throw new CommandFailure(`Something else writes into ${this.path}. Stopped.`)
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size)
      done += bytesWritten
      this.#size += bytesWritten
    }
  }

  /** @param flush onto the disk, not only to the system */
  async close({ flush }: { flush: boolean }): Promise<void> {
    if (flush) await this.#file.sync()
    await this.#file.close()
  }
}

/** The place of the last newline before `end`; -1 where there is none. */
async function newlineBefore(file: FileHandle, end: number): Promise<number> {
  const block = Buffer.alloc(blockBytes)
  for (let to = end; to > 0; ) {
    const from = Math.max(0, to - blockBytes)
    const { bytesRead } = await file.read(block, 0, to - from, from)
    const at = block.subarray(0, bytesRead).lastIndexOf(newline)
    if (at !== -1) return from + at
    to = from
  }
  return -1
}

async function lastIndex(file: FileHandle, end: number, path: string): Promise<number> {
  const start = (await newlineBefore(file, end - 1)) + 1
  const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start)
  const index = indexOf(buffer.toString())
  if (index === undefined) throw new CommandFailure(`The last line of ${path} is no result of millrace run.`)
  return index
}

function indexOf(text: string): number | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('index' in value)) return undefined
    return Number.isInteger(value.index) ? Number(value.index) : undefined
  } catch {
    return undefined
  }
}
