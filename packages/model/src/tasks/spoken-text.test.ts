/** The tiny Whisper, whose window is 2 s, against what `generate` of the Python reference wrote beside it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MillraceError, type Params, paramsOf } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../engine.js'
import { createEngine } from '../engines/whisper.js'
import { readHeard } from '../speech/segments.js'
import { type ModelInput, type ModelTask, openTask } from './index.js'

interface Recording {
  file: string
  params: Params
  language: string
  segments: { start: number; end: number; ids: number[]; text: string }[]
  text: string
}

const task = 'automatic-speech-recognition'
const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const dir = folder('tiny-whisper')
const { items } = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as { items: Recording[] }

describe('tiny-whisper', () => {
  let opened: ModelTask
  let engine: Engine
  beforeAll(async () => {
    opened = await openTask(dir, task)
    engine = createEngine({
      dir,
      dtype: 'fp32',
      task,
      output: opened.output,
      padTokenId: 0,
      device: 'cpu',
      threads: 1,
      options: { maxAudioS: 6 },
    })
    await engine.load()
  })
  afterAll(() => engine.close())

  const inputOf = ({ file, params }: Pick<Recording, 'file' | 'params'>): ModelInput => ({
    ...opened.probe('', 0),
    params: paramsOf(params as never, task),
    bytes: readFileSync(`${folder('media')}/${file}`),
  })

  it.each(items.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
    'hears in %s with %s what the reference hears, and when, told piece by piece',
    async (_file, _params, item) => {
      const input = inputOf(item)
      const encoded = opened.encode(input)
      const { resultOf, follow } = opened.loaded(0)
      const follower = follow?.(encoded, input)
      let told = ''
      const onTokens = (_place: number, at: number, ids: readonly number[]) => {
        const { text = '' } = follower?.tokens(at, ids) ?? {}
        expect(text.startsWith(told)).toBe(true)
        told = text
      }
      const [output = new Float32Array()] = await engine.run([encoded], { onTokens })
      const { segments } = readHeard(output)
      expect(segments.map(({ ids }) => ids)).toEqual(item.segments.map(({ ids }) => ids))
      const times = segments.map(({ start, end }) => [start / 100, end / 100])
      expect(times).toEqual(item.segments.map(({ start, end }) => [start, end]))
      const chunks = item.segments.map(({ start, end, text }) => ({ timestamp: [start, end], text }))
      expect(resultOf(output, encoded, input)).toEqual({
        kind: 'value',
        value: {
          text: item.text,
          language: item.language,
          ...(item.params.return_timestamps ? { chunks } : {}),
        },
      })
      expect(item.text.startsWith(told)).toBe(true)
      expect(told.length).toBeGreaterThan(item.text.replace(/\ufffd+$/, '').length - 2)
    },
  )

  it('the same recording is the same text alone and after others', async () => {
    const batch = items.slice(0, 3).map((item) => opened.encode(inputOf(item)))
    const together = await engine.run(batch)
    for (const [at, one] of batch.entries()) expect((await engine.run([one]))[0]).toEqual(together[at])
  })

  it('ends when it is told to, and says that it is a part', async () => {
    const input = inputOf({ file: 'long.wav', params: {} })
    const ending = new AbortController()
    const [output = new Float32Array()] = await engine.run([opened.encode(input)], {
      signal: ending.signal,
      onTokens: () => ending.abort(),
    })
    expect(readHeard(output)).toMatchObject({ ended: true, segments: { length: 1 } })
    expect(opened.loaded(0).resultOf(output, opened.encode(input), input)).toMatchObject({ partial: true })
  })

  it('a language that it does not know is refused, with those that it knows', () => {
    const strange = inputOf({ file: 'tones.wav', params: { language: 'xx' } })
    expect(() => opened.encode(strange)).toThrow(
      new MillraceError('invalid_input', "options.language is 'xx'; this model knows de, en, fr"),
    )
  })

  it('says what it knows', () => {
    expect(opened.loaded(0).facts).toEqual({ task, sampling_rate: 16_000, languages: ['de', 'en', 'fr'] })
  })

  it('a recording that is too long, or none, is refused, and the engine goes on', async () => {
    const broken = { ...inputOf({ file: 'tones.wav', params: {} }), bytes: Buffer.from('hello') }
    await expect(engine.run([opened.encode(broken)])).rejects.toThrow()
    const [output] = await engine.run([opened.encode(inputOf({ file: 'tones.wav', params: {} }))])
    expect(readHeard(output ?? new Float32Array()).segments).toHaveLength(1)
  })
})

it('a model that writes down what it hears, and no more, refuses to do otherwise', async () => {
  const { probe, encode } = await openTask(folder('tiny-wav2vec2'), task)
  for (const params of [{ language: 'en' }, { translate: true }, { return_timestamps: true }]) {
    expect(() => encode({ ...probe('', 0), params })).toThrow(`takes no options.${Object.keys(params)[0]}`)
  }
  expect(() => encode({ ...probe('', 0), params: paramsOf({ truncate: false }, task) })).not.toThrow()
})
