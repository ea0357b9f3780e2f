/**
 * WAV (RIFF, WAVE_FORMAT_PCM, IEEE_FLOAT and EXTENSIBLE) as samples between -1 and 1, scaled as ffmpeg scales them, which
 * decodes for the Python pipelines. A file that ends early gives what is there.
 */

/** @throws Error for what is none */
export function readWav(bytes: Uint8Array): { channelData: Float32Array[]; sampleRate: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let format: Format | undefined
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = view.getUint32(at)
    const size = view.getUint32(at + 4, true)
    const start = at + 8
    if (name === chunkNames.format) format = readFormat(view, start)
    if (name === chunkNames.data && format) {
      return {
        channelData: samplesOf(view, start, Math.min(size, bytes.length - start), format),
        sampleRate: format.rate,
      }
    }
    // Chunks begin at even places.
    at = start + size + (size % 2)
  }
  throw new Error('no WAV file')
}

interface Format {
  readonly channels: number
  readonly rate: number
  readonly sampleBytes: number
  readonly read: (view: DataView, at: number) => number
}

/** 'fmt ' and 'data'. */
const chunkNames = { format: 0x666d7420, data: 0x64617461 }
const extensible = 0xfffe

const readers: Readonly<Record<string, Format['read']>> = {
  '1/8': (view, at) => (view.getUint8(at) - 128) / 128,
  '1/16': (view, at) => view.getInt16(at, true) / 32_768,
  '1/24': (view, at) => ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 8_388_608,
  '1/32': (view, at) => view.getInt32(at, true) / 2_147_483_648,
  '3/32': (view, at) => view.getFloat32(at, true),
  '3/64': (view, at) => view.getFloat64(at, true),
}

function readFormat(view: DataView, at: number): Format {
  const named = view.getUint16(at, true)
  // The sub-format begins with the code.
  const code = named === extensible ? view.getUint16(at + 24, true) : named
  const bits = view.getUint16(at + 14, true)
  const [channels, rate] = [view.getUint16(at + 2, true), view.getUint32(at + 4, true)]
  const read = readers[`${code}/${bits}`]
  if (read === undefined || channels === 0 || channels > 32 || rate === 0)
    throw new Error('a WAV file of another kind')
  return { channels, rate, sampleBytes: bits / 8, read }
}

function samplesOf(view: DataView, start: number, size: number, format: Format): Float32Array[] {
  const { channels, sampleBytes, read } = format
  const length = Math.floor(size / (channels * sampleBytes))
  return Array.from({ length: channels }, (_, channel) => {
    const samples = new Float32Array(length)
    for (let i = 0; i < length; i++) samples[i] = read(view, start + (i * channels + channel) * sampleBytes)
    return samples
  })
}
