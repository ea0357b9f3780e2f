/**
 * An image or a recording as one short string: the canonical form in which it is hashed, queued and recorded, while its
 * bytes lie beside the record under their digest. One file has exactly one form. Knows no bytes.
 */
import { MillraceError } from './errors.js'

export const mediaKinds = ['image', 'audio'] as const
export type MediaKind = (typeof mediaKinds)[number]

export interface MediaInput {
  readonly kind: MediaKind
  /** As its first bytes say, not as whoever sent it says. */
  readonly type: string
  readonly bytes: number
  /** SHA-256 as base64url. */
  readonly digest: string
}

/** No text begins like this by chance: NUL has no meaning in text. Who takes texts from outside refuses those that do. */
const mark = '\u0000media:'
const form = /^(image|audio);([a-z]+\/[a-z0-9.+-]+);(0|[1-9]\d{0,11});([\w-]{43})$/

/** Whether this is the canonical form of an image or a recording, or pretends to be. */
export function isMediaInput(input: string): boolean {
  return input.startsWith(mark)
}

export function isMediaForm(form: string): form is MediaKind {
  return mediaKinds.some((kind) => kind === form)
}

export function writeMediaInput({ kind, type, bytes, digest }: MediaInput): string {
  return `${mark}${kind};${type};${bytes};${digest}`
}

/** @throws MillraceError invalid_input for anything that `writeMediaInput` does not write */
export function readMediaInput(input: string): MediaInput {
  const parts = isMediaInput(input) ? form.exec(input.slice(mark.length)) : null
  const [, kind, type, bytes, digest] = parts ?? []
  if (kind === undefined || type === undefined || bytes === undefined || digest === undefined) {
    throw new MillraceError('invalid_input', 'This model takes an image or a recording')
  }
  return { kind: kind as MediaKind, type, bytes: Number(bytes), digest }
}
