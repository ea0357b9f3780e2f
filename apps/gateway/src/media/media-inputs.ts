/**
 * Images and recordings of a submit: found (in a data URL, an upload, at an https address), known by their bytes, held
 * against the limits, and written as the short strings that the journey goes on with. Knows no HTTP of ours.
 */
import { createHash } from 'node:crypto'
import {
  type FieldError,
  type JobInput,
  type MediaKind,
  MillraceError,
  writeMediaInput,
} from '@millrace/contracts'
import type { FetchOutcome } from '@millrace/webhooks/fetch-file'
import { maxReportedFaults } from '../error-response.js'
import type { JobInputs } from '../job-inputs.js'
import { pixelsOf } from './image-size.js'
import { sniff, typesOf } from './sniff.js'

export interface MediaLimits {
  maxBytes: Readonly<Record<MediaKind, number>>
  maxPixels: number
  /** Of all files of a job together. */
  jobBytes: number
}

export interface MediaContext {
  limits: MediaLimits
  fetch: (url: string, maxBytes: number) => Promise<FetchOutcome>
}

/** Files of one request that are fetched at a time. */
const fetchesAtOnce = 4
const base64Form = /^[A-Za-z0-9+/]*={0,2}$/

/**
 * @param given each of the form of `kind`
 * @param maxItems of the model
 * @param uploads files that came beside the body, by what stands for them in it
 * @throws MillraceError empty_input, too_many_items, invalid_input, unsupported_media, input_too_large, url_refused,
 * fetch_failed
 */
export async function mediaInputs(
  given: readonly JobInput[],
  kind: MediaKind,
  single: boolean,
  uploads: ReadonlyMap<string, Buffer>,
  maxItems: number,
  context: MediaContext,
): Promise<JobInputs> {
  if (given.length === 0) throw faultOf({ path: 'inputs', code: 'empty_input', detail: 'give at least one' })
  if (given.length > maxItems) {
    const detail = `${given.length} items; a job holds at most ${maxItems}`
    throw faultOf({ path: 'inputs', code: 'too_many_items', detail })
  }
  const files = new FilesOfRequest(kind, uploads, context)
  const sources = given.map((input) => (input as Record<string, string>)[kind] ?? '')
  const inputs: string[] = new Array(given.length)
  const faults: FieldError[] = []
  let next = 0
  const work = async () => {
    for (let i = next++; i < sources.length && faults.length < maxReportedFaults; i = next++) {
      const found = await files.read(sources[i] ?? '')
      if (typeof found === 'string') inputs[i] = found
      else faults.push({ path: single ? `input.${kind}` : `inputs[${i}].${kind}`, ...found })
    }
  }
  await Promise.all(Array.from({ length: fetchesAtOnce }, work))
  const [first, ...more] = faults.sort((a, b) => a.path.localeCompare(b.path, 'en', { numeric: true }))
  if (first) throw faultOf(first, ...more)
  return { inputs, single, blobs: files.blobs }
}

type Fault = Omit<FieldError, 'path'>

/** Each source is read once, however often it is given. */
class FilesOfRequest {
  /** By canonical form. */
  readonly blobs = new Map<string, Buffer>()
  readonly #read = new Map<string, Promise<string | Fault>>()
  readonly #kind: MediaKind
  readonly #uploads: ReadonlyMap<string, Buffer>
  readonly #context: MediaContext
  #left: number

  constructor(kind: MediaKind, uploads: ReadonlyMap<string, Buffer>, context: MediaContext) {
    this.#kind = kind
    this.#uploads = uploads
    this.#context = context
    this.#left = context.limits.jobBytes
  }

  /** The canonical form, or why there is none. */
  read(source: string): Promise<string | Fault> {
    const reading = this.#read.get(source) ?? this.#canonical(source)
    this.#read.set(source, reading)
    return reading
  }

  async #canonical(source: string): Promise<string | Fault> {
    const bytes = await this.#bytesOf(source)
    if (!Buffer.isBuffer(bytes)) return bytes
    const { maxBytes, maxPixels, jobBytes } = this.#context.limits
    const kind = this.#kind
    if (bytes.length === 0) return { code: 'empty_input', detail: 'is empty' }
    if (bytes.length > maxBytes[kind]) {
      return tooLarge(`${bytes.length} bytes; at most ${maxBytes[kind]} are taken`)
    }
    const type = sniff(bytes)
    if (type?.kind !== kind) {
      return { code: 'unsupported_media', detail: `is none of ${typesOf(kind).join(', ')}` }
    }
    const pixels = kind === 'image' ? (pixelsOf(bytes, type.type) ?? 0) : 1
    if (pixels === 0) return { code: 'invalid_input', detail: `is a damaged file of the type ${type.type}` }
    if (pixels > maxPixels) return tooLarge(`${pixels} pixels; at most ${maxPixels} are taken`)
    const digest = createHash('sha256').update(bytes).digest('base64url')
    const input = writeMediaInput({ kind, type: type.type, bytes: bytes.length, digest })
    if (!this.blobs.has(input)) this.#left -= bytes.length
    if (this.#left < 0) return tooLarge(`all files of this job have more than ${jobBytes} bytes together`)
    this.blobs.set(input, bytes)
    return input
  }

  async #bytesOf(source: string): Promise<Buffer | Fault> {
    const uploaded = this.#uploads.get(source)
    if (uploaded) return uploaded
    if (/^data:/i.test(source)) return fromDataUrl(source)
    if (!/^https?:/i.test(source)) {
      return { code: 'invalid_input', detail: 'is neither a data URL nor an https URL' }
    }
    const { fetch, limits } = this.#context
    const fetched = await fetch(source, Math.max(0, Math.min(limits.maxBytes[this.#kind], this.#left)))
    if (fetched.kind === 'fetched') return fetched.bytes
    if (fetched.kind === 'too_large') return tooLarge(fetched.error)
    const code = fetched.kind === 'refused' ? 'url_refused' : 'fetch_failed'
    return { code, detail: fetched.error }
  }
}

/** RFC 2397, base64 only. What it says of its type is not read: the bytes say it. */
function fromDataUrl(url: string): Buffer | Fault {
  const comma = url.indexOf(',')
  const data = url.slice(comma + 1)
  if (comma < 0 || !/;base64$/i.test(url.slice(0, comma)) || !base64Form.test(data)) {
    return { code: 'invalid_input', detail: 'is no data URL in base64' }
  }
  return Buffer.from(data, 'base64')
}

function tooLarge(detail: string): Fault {
  return { code: 'input_too_large', detail }
}

function faultOf(first: FieldError, ...more: FieldError[]): MillraceError {
  const others = more.length > 0 ? ` (and ${more.length} more)` : ''
  return new MillraceError(first.code, `${first.path}: ${first.detail}${others}`, {
    errors: [first, ...more],
  })
}
