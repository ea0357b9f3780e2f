/** What a file is, by its first bytes: neither its name nor what a sender or a server says of it counts. */
import type { MediaKind } from '@millrace/contracts'

export interface Sniffed {
  kind: MediaKind
  type: string
}

const at = (bytes: Buffer, offset: number, text: string) =>
  bytes.toString('latin1', offset, offset + text.length) === text

/** Only what the model process has a decoder for. Ogg is Vorbis or Opus: its first page says which. */
const kinds: readonly { kind: MediaKind; type: string; is: (bytes: Buffer) => boolean }[] = [
  { kind: 'image', type: 'image/png', is: (bytes) => at(bytes, 0, '\x89PNG\r\n\x1a\n') },
  { kind: 'image', type: 'image/jpeg', is: (bytes) => at(bytes, 0, '\xff\xd8\xff') },
  { kind: 'image', type: 'image/webp', is: (bytes) => at(bytes, 0, 'RIFF') && at(bytes, 8, 'WEBP') },
  { kind: 'image', type: 'image/gif', is: (bytes) => at(bytes, 0, 'GIF87a') || at(bytes, 0, 'GIF89a') },
  { kind: 'audio', type: 'audio/wav', is: (bytes) => at(bytes, 0, 'RIFF') && at(bytes, 8, 'WAVE') },
  { kind: 'audio', type: 'audio/flac', is: (bytes) => at(bytes, 0, 'fLaC') },
  { kind: 'audio', type: 'audio/ogg', is: (bytes) => at(bytes, 0, 'OggS') },
  { kind: 'audio', type: 'audio/mpeg', is: (bytes) => at(bytes, 0, 'ID3') || isMpegLayer3(bytes) },
]

export const typesOf = (kind: MediaKind) => kinds.filter((one) => one.kind === kind).map(({ type }) => type)

export function sniff(bytes: Buffer): Sniffed | undefined {
  const found = kinds.find(({ is }) => is(bytes))
  return found && { kind: found.kind, type: found.type }
}

/** A frame header: eleven bits of sync, a version and a layer III that exist (ISO 11172-3, 2.4.1.3). */
function isMpegLayer3(bytes: Buffer): boolean {
  const second = bytes[1] ?? 0
  return bytes[0] === 0xff && (second & 0xe0) === 0xe0 && (second & 0x18) !== 0x08 && (second & 0x06) === 0x02
}
