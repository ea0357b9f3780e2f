/**
 * Files to samples, in the model process alone: FLAC, MP3 and Ogg by the decoders of audio-decode (WebAssembly), piece by
 * piece, so that a small file that holds hours of silence is left at the limit and never all in memory.
 */
import { decoders } from 'audio-decode'
import { InputRefused } from '../input-refused.js'
import { readWav } from './wav.js'

export interface Recording {
  /** Of the mean of all channels, between -1 and 1. */
  readonly samples: Float32Array
  /** Per second. */
  readonly rate: number
}

/** What the decoders of audio-decode give. */
interface Decoded {
  readonly channelData: readonly Float32Array[]
  readonly sampleRate: number
}

interface PieceDecoder {
  reset(): Promise<unknown>
  decode(piece: Uint8Array): Decoded | Promise<Decoded>
  flush?(): Promise<Decoded>
}

const pieceBytes = 16_384

/** @throws InputRefused invalid_input, input_too_large */
export async function decodeAudio(bytes: Uint8Array | undefined, maxSeconds: number): Promise<Recording> {
  if (bytes === undefined) throw new Error('A recording came without its file')
  const mono: Float32Array[] = []
  let [length, rate] = [0, 0]
  try {
    for await (const { channelData, sampleRate } of decodePieces(bytes)) {
      const piece = mixed(channelData)
      if (piece.length === 0) continue
      rate = sampleRate
      length += piece.length
      if (length > rate * maxSeconds) throw tooLong(maxSeconds)
      mono.push(piece)
    }
  } catch (error) {
    if (error instanceof InputRefused) throw error
    throw damaged()
  }
  if (length === 0 || !(rate > 0)) throw damaged()
  const samples = new Float32Array(length)
  let at = 0
  for (const piece of mono) {
    samples.set(piece, at)
    at += piece.length
  }
  return { samples, rate }
}

type Format = 'wav' | 'flac' | 'opus' | 'oga' | 'mp3'

function formatOf(bytes: Uint8Array): Format {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 64)).toString('latin1')
  if (head.startsWith('RIFF')) return 'wav'
  if (head.startsWith('fLaC')) return 'flac'
  if (head.startsWith('OggS')) return head.includes('OpusHead') ? 'opus' : 'oga'
  return 'mp3'
}

async function* decodePieces(bytes: Uint8Array): AsyncGenerator<Decoded> {
  const format = formatOf(bytes)
  if (format === 'wav') {
    yield readWav(bytes)
    return
  }
  const decoder = await decoderOf(format)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    yield await decoder.decode(bytes.slice(at, at + pieceBytes))
  }
  if (decoder.flush) yield await decoder.flush()
}

/** The library keeps each decoder at its function; called without a file, that makes it ready, or fresh again. */
async function decoderOf(format: Exclude<Format, 'wav'>): Promise<PieceDecoder> {
  const make = decoders[format] as unknown as { (): Promise<unknown>; decoder?: PieceDecoder }
  await make()
  if (make.decoder === undefined) throw new Error(`audio-decode has no decoder for ${format}`)
  return make.decoder
}

function mixed(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(), ...others] = channels
  if (others.length === 0) return first.slice()
  return first.map((value, at) => {
    let sum = value
    for (const other of others) sum += other[at] ?? 0
    return sum / channels.length
  })
}

function tooLong(maxSeconds: number): InputRefused {
  return new InputRefused('input_too_large', `The recording is longer than ${maxSeconds} s`)
}

function damaged(): InputRefused {
  return new InputRefused('invalid_input', 'The recording is damaged and cannot be decoded')
}
