/**
 * How many pixels an image will have once it is decoded, read from its header: a few hundred bytes may say a hundred
 * megapixels. A courtesy that names the field; the model process asks its decoder, and decides.
 */

/** @returns undefined where the header is damaged or of another kind */
export function pixelsOf(bytes: Buffer, type: string): number | undefined {
  try {
    const size = readers[type]?.(bytes)
    return size && size[0] * size[1]
  } catch {
    // Ends before its size.
    return undefined
  }
}

type Size = [width: number, height: number]

const readers: Readonly<Record<string, (bytes: Buffer) => Size | undefined>> = {
  'image/png': (bytes) => [bytes.readUInt32BE(16), bytes.readUInt32BE(20)],
  'image/gif': (bytes) => [bytes.readUInt16LE(6), bytes.readUInt16LE(8)],
  'image/jpeg': jpegSize,
  'image/webp': webpSize,
}

/** The first frame header (SOF0..SOF15 but DHT, JPG and DAC; ITU T.81, B.1.1.3). */
function jpegSize(bytes: Buffer): Size | undefined {
  for (let at = 2; at < bytes.length; ) {
    const marker = bytes.readUInt16BE(at)
    // Fill bytes may stand before a marker.
    if (marker === 0xffff) {
      at += 1
      continue
    }
    if (marker < 0xff01) return undefined
    const kind = marker & 0xff
    if (kind >= 0xc0 && kind <= 0xcf && kind !== 0xc4 && kind !== 0xc8 && kind !== 0xcc) {
      return [bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5)]
    }
    at += 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}

/** Lossy, lossless and extended (developers.google.com/speed/webp/docs/riff_container). */
function webpSize(bytes: Buffer): Size | undefined {
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return [bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff]
    case 'VP8L': {
      const bits = bytes.readUInt32LE(21)
      return [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1]
    }
    case 'VP8X':
      return [bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1]
    default:
      return undefined
  }
}
