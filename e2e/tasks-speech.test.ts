/** Speech recognition on a fleet of real processes, against what the Python pipeline wrote beside the model. */
import type { Transcript } from '@millrace/contracts'
import { type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, jobOf, post, problemOf, root } from './api.js'
import { allOf, openEvents } from './event-stream.js'
import { dataUrl, fileServer, media, referenceOf, upload } from './media.js'

const recognizer = 'tiny-wav2vec2'
const whisper = 'tiny-whisper'
const wait = { prefer: 'wait=30' }
const { items } = referenceOf(recognizer) as { items: { file: string; text: string }[] }

let fleet: Fleet
let files: Awaited<ReturnType<typeof fileServer>>
beforeAll(async () => {
  files = await fileServer()
  fleet = await startFleet({
    root,
    env: {
      MILLRACE_CONFIG: `${root}/models/fixtures/millrace.json`,
      MILLRACE_MODELS: `${recognizer},${whisper}`,
      MAX_AUDIO_BYTES: '200000',
      MAX_AUDIO_S: '6',
      MEDIA_ALLOW_HTTP: 'true',
      MEDIA_ALLOW_CIDRS: '127.0.0.1/32',
    },
  })
})
afterAll(async () => {
  files.close()
  await fleet.stop()
})

describe('a recording', () => {
  it('is heard as the reference hears it, by data URL, upload and address: one input, one result', async () => {
    for (const { file, text } of items) {
      const body = { model: recognizer, input: { audio: dataUrl(media(file), 'audio/wav') } }
      expect(jobOf(await post(fleet.url, body, wait)).output).toEqual({ text })
      const uploaded = await upload(
        fleet.url,
        [
          ['model', recognizer],
          ['audio', media(file)],
        ],
        wait,
      )
      const fetched = await post(fleet.url, { ...body, input: { audio: `${files.url}/${file}` } }, wait)
      for (const again of [uploaded, fetched]) {
        expect(again.headers.get('x-cache')).toBe('hit')
        expect(jobOf(again).output).toEqual({ text })
      }
    }
  })

  it('as FLAC, MP3, Vorbis and Opus is heard too; FLAC loses nothing', async () => {
    const kinds = ['flac', 'mp3', 'ogg', 'opus'].map((kind) => ['audio', media(`tones.${kind}`)] as const)
    const { output } = jobOf(await upload(fleet.url, [['model', recognizer], ...kinds], wait))
    const texts = (output as Transcript[]).map(({ text }) => text)
    expect(texts[0]).toBe(items[0]?.text)
    for (const text of texts) expect(text.length).toBeGreaterThan(10)
  })

  it('that is damaged or too long fails alone', async () => {
    const long = Buffer.concat([media('tones.wav'), Buffer.alloc(180_000)])
    long.writeUInt32LE(long.length - 44, 40)
    const inputs = [long, media('tones.wav').subarray(0, 44), media('tones.wav')].map((bytes) => ({
      audio: dataUrl(bytes),
    }))
    const { id } = jobOf(await post(fleet.url, { model: recognizer, inputs }))
    expect(await finished(fleet.url, id)).toMatchObject({
      status: 'succeeded',
      output: [
        { error: { code: 'input_too_large' } },
        { error: { code: 'invalid_input' } },
        { text: items[0]?.text },
      ],
    })
  })
})

describe('bad input has its own code and path', () => {
  const json = (audio: unknown) => ({ model: recognizer, input: { audio } })
  it.each([
    ['an image', json(dataUrl(media('scene.png'))), 'unsupported_media', 'input.audio'],
    [
      'too large a file',
      json(dataUrl(Buffer.concat([media('tones.wav'), Buffer.alloc(200_000)]))),
      'input_too_large',
      'input.audio',
    ],
    ['a private address', json('https://192.168.0.1/a.wav'), 'url_refused', 'input.audio'],
    ['no such file', json('http://127.0.0.1:1/a.wav'), 'fetch_failed', 'input.audio'],
    ['a text', { model: recognizer, input: 'a text' }, 'invalid_request', 'input'],
    ['an image input', { model: recognizer, input: { image: 'x' } }, 'invalid_request', 'input'],
    [
      'an option of another task',
      { ...json('x'), options: { top_k: 1 } },
      'invalid_request',
      'options.top_k',
    ],
    ['an unknown option', { ...json('x'), options: { speaker: 1 } }, 'invalid_request', 'options'],
    [
      'a language that is no code',
      { ...json('x'), options: { language: 'English' } },
      'invalid_request',
      'options.language',
    ],
  ] as const)('%s', async (_, body, code, path) => {
    const problem = problemOf(await post(fleet.url, body))
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code, path })
  })
})

describe('a Whisper model', () => {
  interface Heard {
    file: string
    params: { return_timestamps?: boolean }
    language: string
    segments: { start: number; end: number; text: string }[]
    text: string
  }
  const heard = (referenceOf(whisper) as { items: Heard[] }).items

  it.each(heard.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
    'writes of %s with %s what the reference writes',
    async (file, params, { segments, language, text }) => {
      const fields = [
        ['model', whisper],
        ['audio', media(file)],
        ['options', params],
      ] as const
      const chunks = segments.map(({ start, end, text }) => ({ timestamp: [start, end], text }))
      const wanted = { text, language, ...(JSON.parse(params).return_timestamps ? { chunks } : {}) }
      expect(jobOf(await upload(fleet.url, fields, wait)).output).toEqual(wanted)
      const again = await upload(fleet.url, fields, wait)
      expect(again.headers.get('x-cache')).toBe('hit')
      expect(jobOf(again).output).toEqual(wanted)
    },
  )

  it('tells a recording as it is heard, as events', async () => {
    const [item] = heard.filter(({ file }) => file === 'long.wav')
    const input = { audio: dataUrl(media('long.wav'), 'audio/wav') }
    // Another language than before: nothing of it is known.
    const body = { model: whisper, input, options: { language: 'fr' } }
    const events = await allOf(
      await openEvents(fleet.url, '/v1/jobs', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    )
    const text = events.flatMap((event) => (event.type === 'output' ? [event.data.text] : [])).join('')
    const { id } = jobOf(await post(fleet.url, body, wait))
    const { output } = (await finished(fleet.url, id)) as { output: Transcript }
    expect(text.length).toBeGreaterThan(10)
    expect(output.text.startsWith(text.replace(/\ufffd+$/, ''))).toBe(true)
    expect(output.language).toBe('fr')
    expect(output.text).not.toBe(item?.text)
  })

  it('fails a recording in a language that it does not know, and says which it knows', async () => {
    const fields = [
      ['model', whisper],
      ['audio', media('tones.wav')],
      ['options', '{"language": "xx"}'],
    ] as const
    expect(jobOf(await upload(fleet.url, fields, wait))).toMatchObject({
      status: 'failed',
      output: { error: { code: 'invalid_input', detail: expect.stringContaining('knows de, en, fr') } },
    })
  })
})

it('the model says that it hears one recording at a time, and at which rate', async () => {
  const { data } = (await call(fleet.url, '/v1/models')).body as { data: { id: string; facts: object }[] }
  expect(data.find(({ id }) => id === recognizer)?.facts).toMatchObject({
    task: 'automatic-speech-recognition',
    sampling_rate: 16_000,
    batching: { mode: 'one_at_a_time' },
  })
})
