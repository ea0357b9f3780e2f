/**
 * A `multipart/form-data` submit as the JSON body that it stands for: in it a file is written `upload:<digest>`, so that
 * all that follows knows one form of a body, and two requests with the same files are the same request.
 */
import { createHash } from 'node:crypto'
import { fieldError, type MediaKind, MillraceError, mediaKinds } from '@millrace/contracts'

export interface UploadedBody {
  /** JSON. */
  text: string
  /** By what stands for them in `text`. */
  uploads: ReadonlyMap<string, Buffer>
}

const jsonFields = ['options', 'metadata', 'webhook']
const numberFields = ['priority', 'timeout_ms', 'start_timeout_ms']
/** Beside the files. */
const maxFields = 16

/**
 * @param request its body has the size that is allowed
 * @throws MillraceError invalid_request, malformed_json, too_many_items
 */
export async function readMultipart(request: Request, maxItems: number): Promise<UploadedBody> {
  const type = request.headers.get('content-type') ?? ''
  const body = Buffer.from(await request.arrayBuffer())
  refuseManyParts(body, type, maxItems + maxFields)
  const form = await new Response(body, { headers: { 'content-type': type } }).formData().catch((error) => {
    throw new MillraceError('invalid_request', 'The body is no multipart/form-data', { cause: error })
  })
  const fields: Record<string, unknown> = {}
  const inputs: unknown[] = []
  const uploads = new Map<string, Buffer>()
  for (const [name, value] of form) {
    if (isMediaField(name)) {
      inputs.push({ [name]: typeof value === 'string' ? value : await upload(value, uploads) })
    } else {
      if (typeof value !== 'string') throw fieldError('invalid_request', name, 'is a file where none belongs')
      if (Object.hasOwn(fields, name)) throw fieldError('invalid_request', name, 'is given twice')
      fields[name] = fieldValue(name, value)
    }
  }
  const given = inputs.length === 1 ? { input: inputs[0] } : { inputs }
  return { text: JSON.stringify({ ...fields, ...given }), uploads }
}

async function upload(file: File, uploads: Map<string, Buffer>): Promise<string> {
  const bytes = Buffer.from(await file.arrayBuffer())
  const name = `upload:${createHash('sha256').update(bytes).digest('base64url')}`
  uploads.set(name, bytes)
  return name
}

function isMediaField(name: string): name is MediaKind {
  return mediaKinds.some((kind) => kind === name)
}

/** What is no number stays text, which the schema refuses by its name. */
function fieldValue(name: string, value: string): unknown {
  if (numberFields.includes(name)) return /^\d{1,12}$/.test(value) ? Number(value) : value
  if (!jsonFields.includes(name)) return value
  try {
    return JSON.parse(value)
  } catch (error) {
    throw new MillraceError('malformed_json', `The field ${name} is not valid JSON`, { cause: error })
  }
}

/** Before any is parsed: a body of many empty parts would hold up this process. */
function refuseManyParts(body: Buffer, type: string, most: number): void {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type) ?? []
  const boundary = `--${quoted ?? plain ?? ''}`
  if (boundary === '--') throw new MillraceError('invalid_request', 'The media type names no boundary')
  let parts = 0
  for (let at = body.indexOf(boundary); at >= 0; at = body.indexOf(boundary, at + boundary.length)) {
    parts += 1
    if (parts > most + 1) throw new MillraceError('too_many_items', `The body has more than ${most} parts`)
  }
}
