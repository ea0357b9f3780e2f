/** Bytes -> lines -> chunks of lines. The same bytes give the same chunks every time: resuming rests on that. Pure. */

export interface Line {
  /** From 0, counting every line of the file, empty ones too. */
  readonly index: number
  /** Without the newline; undefined where the line was too long to be kept. */
  readonly bytes: Buffer | undefined
  /** Where the line ends in the input, its newline included. */
  readonly endsAt: number
}

/** Lines that travel as one job. Never empty. */
export interface Chunk {
  readonly lines: readonly Line[]
  readonly firstIndex: number
  readonly lastIndex: number
  /** Bytes of input up to here. */
  readonly endsAt: number
}

const newline = 10
/** Longer lines are no inputs, whatever they hold; they are read over without being kept. */
export const maxLineBytes = 4 * 1024 * 1024

export async function* inputLines(
  source: AsyncIterable<Uint8Array | string>,
  maxBytes: number = maxLineBytes,
): AsyncGenerator<Line> {
  let index = 0
  let position = 0
  let parts: Buffer[] = []
  let length = 0
  const keep = (part: Buffer) => {
    length += part.length
    if (length > maxBytes) parts = []
    else parts.push(part)
  }
  const line = (): Line => {
    position += length
    const bytes = length > maxBytes ? undefined : Buffer.concat(parts)
    parts = []
    length = 0
    return { index: index++, bytes, endsAt: position }
  }
  for await (const block of source) {
    const bytes = typeof block === 'string' ? Buffer.from(block) : asBuffer(block)
    let from = 0
    for (let to = bytes.indexOf(newline); to !== -1; to = bytes.indexOf(newline, from)) {
      keep(bytes.subarray(from, to))
      from = to + 1
      const whole = line()
      position += 1
      yield { ...whole, endsAt: position }
    }
    if (from < bytes.length) keep(bytes.subarray(from))
  }
  if (length > 0) yield line()
}

export interface ChunkLimits {
  readonly maxItems: number
  /** Of the lines together; a single line may be longer. */
  readonly maxBytes: number
}

/** Empty lines belong to no chunk. */
export async function* chunksOf(lines: AsyncIterable<Line>, limits: ChunkLimits): AsyncGenerator<Chunk> {
  let gathered: Line[] = []
  let bytes = 0
  for await (const line of lines) {
    if (line.bytes !== undefined && isBlank(line.bytes)) continue
    const size = line.bytes?.length ?? 0
    if (gathered.length > 0 && bytes + size > limits.maxBytes) {
      yield chunkOf(gathered)
      gathered = []
      bytes = 0
    }
    gathered.push(line)
    bytes += size
    if (gathered.length === limits.maxItems) {
      yield chunkOf(gathered)
      gathered = []
      bytes = 0
    }
  }
  if (gathered.length > 0) yield chunkOf(gathered)
}

function chunkOf(lines: readonly Line[]): Chunk {
  const [first] = lines
  const last = lines.at(-1)
  if (!first || !last) throw new Error('a chunk holds at least one line')
  return { lines, firstIndex: first.index, lastIndex: last.index, endsAt: last.endsAt }
}

/** Space, tab, carriage return. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
