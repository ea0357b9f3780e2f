/** The tiny Whisper, whose window is 2 s, against what `generate` of the Python reference wrote beside it. */
import { type JobOptions, MillraceError, type Params, paramsOf } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEngine } from '../engines/whisper.js'
import { readHeard } from '../speech/segments.js'
import { openTask } from './index.js'
import { fixture, openWriter, referenceOf, type WriterUnderTest } from './writer-under-test.js'

interface Recording {
  file: string
  params: Params
  language: string
  segments: { start: number; end: number; ids: number[]; text: string }[]
  text: string
}

const task = 'automatic-speech-recognition'
const { items } = referenceOf('tiny-whisper') as { items: Recording[] }
const paramsWith = (given: Partial<JobOptions>) => paramsOf({ truncate: false, ...given }, task)

describe('tiny-whisper', () => {
  let writer: WriterUnderTest
  beforeAll(async () => {
    writer = await openWriter('tiny-whisper', task, createEngine)
  })
  afterAll(() => writer.engine.close())

  const inputOf = (file: string, options: Partial<JobOptions> = {}) =>
    writer.inputOf({ file, params: paramsWith(options) })

  it.each(items.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
    'hears in %s with %s what the reference hears, and when, told piece by piece',
    async (file, _params, item) => {
      const input = inputOf(file, item.params)
      const { output, encoded, told } = await writer.write(input)
      const { segments } = readHeard(output)
      expect(segments.map(({ ids }) => ids)).toEqual(item.segments.map(({ ids }) => ids))
      const times = segments.map(({ start, end }) => [start / 100, end / 100])
      expect(times).toEqual(item.segments.map(({ start, end }) => [start, end]))
      const chunks = item.segments.map(({ start, end, text }) => ({ timestamp: [start, end], text }))
      expect(writer.task.loaded(0).resultOf(output, encoded, input)).toEqual({
        kind: 'value',
        value: {
          text: item.text,
          language: item.language,
          ...(item.params.return_timestamps ? { chunks } : {}),
        },
      })
      expect(told).toBe(item.text.replace(/\ufffd+$/, ''))
    },
  )

  it('the same recording is the same text alone and after others', async () => {
    const batch = items.slice(0, 3).map(({ file }) => writer.task.encode(inputOf(file)))
    const together = await writer.engine.run(batch)
    for (const [at, one] of batch.entries()) expect((await writer.engine.run([one]))[0]).toEqual(together[at])
  })

  it('ends when it is told to, and says that it is a part', async () => {
    const input = inputOf('long.wav')
    const encoded = writer.task.encode(input)
    const ending = new AbortController()
    const [output = new Float32Array()] = await writer.engine.run([encoded], {
      signal: ending.signal,
      // The first part is whole then.
      onTokens: (_place, _at, ids) => ids.length > 0 && ending.abort(),
    })
    const heard = readHeard(output)
    expect(heard.ended).toBe(true)
    expect(heard.segments.length).toBeLessThan(4)
    expect(writer.task.loaded(0).resultOf(output, encoded, input)).toMatchObject({ partial: true })
  })

  it('a language that it does not know is refused, with those that it knows', () => {
    const strange = inputOf('tones.wav', { language: 'xx' })
    expect(() => writer.task.encode(strange)).toThrow(
      new MillraceError('invalid_input', "options.language is 'xx'; this model knows de, en, fr"),
    )
  })

  it('says what it knows', () => {
    const facts = { task, sampling_rate: 16_000, languages: ['de', 'en', 'fr'] }
    expect(writer.task.loaded(0).facts).toEqual(facts)
  })

  it('a file that is no recording is refused, and the engine goes on', async () => {
    const good = inputOf('tones.wav')
    await expect(writer.write({ ...good, bytes: Buffer.from('hello') })).rejects.toThrow()
    expect(readHeard((await writer.write(good)).output).segments).toHaveLength(1)
  })
})

it('a model that writes down what it hears, and no more, refuses to do otherwise', async () => {
  const { probe, encode } = await openTask(fixture('tiny-wav2vec2'), task)
  for (const params of [{ language: 'en' }, { translate: true }, { return_timestamps: true }]) {
    expect(() => encode({ ...probe('', 0), params })).toThrow(`takes no options.${Object.keys(params)[0]}`)
  }
  expect(() => encode({ ...probe('', 0), params: paramsWith({}) })).not.toThrow()
})
