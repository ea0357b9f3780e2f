/** Speech recognition on a fleet of real processes, against what the Python pipeline wrote beside the model. */
import type { Transcript } from '@millrace/contracts'
import { type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, jobOf, post, problemOf, root } from './api.js'
import { dataUrl, fileServer, media, referenceOf, upload } from './media.js'

const recognizer = 'tiny-wav2vec2'
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
      MILLRACE_MODELS: recognizer,
      MAX_AUDIO_BYTES: '100000',
      MAX_AUDIO_S: '1',
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
    const long = Buffer.concat([media('tones.wav'), Buffer.alloc(40_000)])
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
      json(dataUrl(Buffer.concat([media('tones.wav'), Buffer.alloc(100_000)]))),
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
    ['an unknown option', { ...json('x'), options: { language: 'en' } }, 'invalid_request', 'options'],
  ] as const)('%s', async (_, body, code, path) => {
    const problem = problemOf(await post(fleet.url, body))
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code, path })
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
