/** The speech engine on the fixture, against what the Python pipeline wrote beside it; files of every kind that is taken. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCtcText } from '../ctc-text.js'
import type { EncodedItem, Engine, EngineSpec } from '../engine.js'
import { sineWav } from '../sine-wav.js'
import { decodeAudio } from './audio-decoder.js'
import { createEngine } from './transformers-speech.js'
import { readWav } from './wav.js'

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const media = (file: string) => readFileSync(`${folder('media')}/${file}`)
const item = (bytes: Uint8Array): EncodedItem => ({ ids: new Int32Array(), extra: { bytes } })
const dir = folder('tiny-wav2vec2')
const { items } = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as {
  items: { file: string; ids: number[]; text: string }[]
}
const spec: EngineSpec = {
  dir,
  dtype: 'fp32',
  task: 'automatic-speech-recognition',
  output: { kind: 'frames', classes: 32, rate: 16_000, normalize: true },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: { maxAudioS: 2 },
}

describe('tiny-wav2vec2', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = createEngine(spec)
    await engine.load()
  })
  afterAll(() => engine.close())

  it.each(items)(
    '$file: the reference’s classes and its text, also at another rate',
    async ({ file, ids, text }) => {
      const [found] = await engine.run([item(media(file))])
      expect([...(found ?? [])]).toEqual(ids)
      expect((await loadCtcText(dir)).textOf(found ?? [])).toBe(text)
    },
  )

  it('a FLAC file is heard as the WAV file it was made of', async () => {
    const [flac, wav] = await engine.run([item(media('tones.flac')), item(media('tones.wav'))])
    expect(flac).toEqual(wav)
  })

  it('the same recording gives the same classes alone and among others', async () => {
    const batch = items.map(({ file }) => item(media(file)))
    const together = await engine.run(batch)
    for (const [at, one] of batch.entries()) expect((await engine.run([one]))[0]).toEqual(together[at])
  })

  it.each([
    ['no recording', Buffer.from('hello'), 'invalid_input'],
    ['a header alone', media('tones.wav').subarray(0, 44), 'invalid_input'],
    ['a header that says no rate', media('tones.wav').fill(0, 24, 28), 'invalid_input'],
    ['one that is too long', sineWav(2.1, 440, 16_000), 'input_too_large'],
  ])('%s is refused, and the engine goes on', async (_, bytes, code) => {
    await expect(engine.run([item(bytes)])).rejects.toMatchObject({ name: 'InputRefused', code })
    expect(await engine.run([item(media('noise.wav'))])).toHaveLength(1)
  })
})

/** How alike two recordings are, at the best of small shifts: encoders put silence in front. */
function likeness(a: Float32Array, b: Float32Array): number {
  let best = 0
  for (let shift = 0; shift < 2500; shift++) {
    let [dot, aa, bb] = [0, 0, 0]
    for (let i = 0; i + shift < b.length && i < a.length; i++) {
      const [x = 0, y = 0] = [a[i], b[i + shift]]
      dot += x * y
      aa += x * x
      bb += y * y
    }
    best = Math.max(best, dot / Math.sqrt(aa * bb))
  }
  return best
}

describe('decoding', () => {
  const limitS = 10
  it.each(['tones.mp3', 'tones.ogg'])('%s sounds as what it was made of', async (file) => {
    const [wav, other] = [
      await decodeAudio(media('tones.wav'), limitS),
      await decodeAudio(media(file), limitS),
    ]
    expect(other.rate).toBe(16_000)
    expect(other.samples.length / other.rate).toBeGreaterThan(0.45)
    expect(likeness(wav.samples, other.samples)).toBeGreaterThan(0.9)
  })

  it('an Opus file comes at 48 kHz and as long as it was', async () => {
    const { samples, rate } = await decodeAudio(media('tones.opus'), limitS)
    expect(rate).toBe(48_000)
    expect(samples.length / rate).toBeCloseTo(0.5, 1)
    expect(Math.max(...samples)).toBeGreaterThan(0.3)
  })

  it.each(['tones.flac', 'tones.mp3', 'tones.opus'])(
    'of half of %s half is heard, and all again',
    async (file) => {
      const once = await decodeAudio(media(file), limitS)
      const half = await decodeAudio(media(file).subarray(0, media(file).length * 0.6), limitS)
      expect(half.samples.length).toBeLessThan(once.samples.length)
      expect(await decodeAudio(media(file), limitS)).toEqual(once)
    },
  )

  it.each(['tones.wav', 'tones.flac', 'tones.mp3', 'tones.ogg', 'tones.opus'])(
    '%s longer than allowed is left at the limit',
    async (file) => {
      await expect(decodeAudio(media(file), 0.2)).rejects.toMatchObject({ code: 'input_too_large' })
    },
  )

  it('channels of a WAV stay apart, and what is none is refused', () => {
    const { channelData } = readWav(media('stereo-8k.wav'))
    expect(channelData).toHaveLength(2)
    expect(channelData[0]).not.toEqual(channelData[1])
    expect(() => readWav(Buffer.from('RIFF0000WAVEnothing'))).toThrow('no WAV')
  })
})

it('repeats are one, the blank parts them, and the delimiter is a space', async () => {
  const { textOf } = await loadCtcText(dir)
  expect(textOf([4, 12, 12, 0, 12, 4, 4, 5, 0, 4])).toBe('HH A')
})
