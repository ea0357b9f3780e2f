import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { readMediaInput } from '@millrace/contracts'
import type { FetchOutcome } from '@millrace/webhooks/fetch-file'
import { describe, expect, it } from 'vitest'
import { pixelsOf } from './image-size.js'
import { type MediaContext, mediaInputs } from './media-inputs.js'
import { sniff } from './sniff.js'

const media = (name: string) =>
  readFileSync(new URL(`../../../../models/fixtures/media/${name}`, import.meta.url))
const png = media('scene.png')
const dataUrl = (bytes: Buffer, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`

const fetched = new Map<string, FetchOutcome>()
const asked: string[] = []
const context: MediaContext = {
  limits: { maxBytes: { image: 20_000, audio: 30_000 }, maxPixels: 10_000, jobBytes: 40_000 },
  fetch: async (url) => {
    asked.push(url)
    return fetched.get(url) ?? { kind: 'failed', error: 'status 404' }
  },
}
const images = (...sources: string[]) =>
  mediaInputs(
    sources.map((image) => ({ image })),
    'image',
    sources.length === 1,
    new Map([['upload:1', png]]),
    8,
    context,
  )
const faultOf = (image: string) =>
  images(image).then(
    () => 'taken',
    (error) => error.errors[0],
  )

describe('what a file is', () => {
  it.each([
    ['scene.png', 'image/png', 1024],
    ['photo.jpg', 'image/jpeg', 1920],
    ['wide.png', 'image/png', 3840],
  ])('%s is told by its bytes, and its pixels by its header', (name, type, pixels) => {
    const bytes = media(name)
    expect(sniff(bytes)).toEqual({ kind: 'image', type })
    expect(pixelsOf(bytes, type)).toBe(pixels)
  })

  it('a recording is told by its bytes', () => {
    expect(sniff(media('tones.wav'))).toEqual({ kind: 'audio', type: 'audio/wav' })
    expect(sniff(Buffer.from([0xff, 0xfb, 0x90, 0x00]))?.type).toBe('audio/mpeg')
    expect(sniff(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'))).toBeUndefined()
    expect(sniff(Buffer.alloc(0))).toBeUndefined()
  })

  it('a WebP and a GIF tell their size too', () => {
    const webp = Buffer.from('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 'base64')
    expect([sniff(webp)?.type, pixelsOf(webp, 'image/webp')]).toEqual(['image/webp', 1])
    const gif = Buffer.from('R0lGODlhAgADAIAAAAAAAP///ywAAAAAAgADAAACAkQBADs=', 'base64')
    expect([sniff(gif)?.type, pixelsOf(gif, 'image/gif')]).toEqual(['image/gif', 6])
  })
})

it('an upload, a data URL and a fetched file of the same bytes are one input', async () => {
  fetched.set('https://example.com/a.png', { kind: 'fetched', bytes: png })
  const { inputs, blobs } = await images('upload:1', dataUrl(png, 'text/plain'), 'https://example.com/a.png')
  expect(new Set(inputs).size).toBe(1)
  expect([...(blobs?.values() ?? [])]).toEqual([png])
  expect(readMediaInput(inputs[0] ?? '')).toMatchObject({
    kind: 'image',
    type: 'image/png',
    bytes: png.length,
  })
})

it('an address given twice is fetched once', async () => {
  asked.length = 0
  await images('https://example.com/a.png', 'https://example.com/a.png', 'https://example.com/a.png')
  expect(asked).toHaveLength(1)
})

/** A header that says 65535 x 65535, and almost nothing behind it. */
function bomb(): Buffer {
  const header = Buffer.from(png.subarray(0, 33))
  header.writeUInt32BE(65_535, 16)
  header.writeUInt32BE(65_535, 20)
  return Buffer.concat([header, deflateSync(Buffer.alloc(1000))])
}

it.each([
  ['no image', dataUrl(Buffer.from('hello')), 'unsupported_media'],
  ['an SVG', dataUrl(Buffer.from('<svg/>'), 'image/svg+xml'), 'unsupported_media'],
  ['a recording', dataUrl(media('tones.wav')), 'unsupported_media'],
  ['an empty file', 'data:image/png;base64,', 'empty_input'],
  ['a header alone', dataUrl(png.subarray(0, 12)), 'invalid_input'],
  ['a bomb', dataUrl(bomb()), 'input_too_large'],
  ['too many bytes', dataUrl(Buffer.concat([png, Buffer.alloc(20_000)])), 'input_too_large'],
  ['text in place of base64', 'data:image/png,hello', 'invalid_input'],
  ['broken base64', 'data:image/png;base64,%%%', 'invalid_input'],
  ['a path', '/etc/passwd', 'invalid_input'],
  ['a file URL', 'file:///etc/passwd', 'invalid_input'],
  ['an upload that is not there', 'upload:2', 'invalid_input'],
  ['an address without a file', 'https://example.com/none', 'fetch_failed'],
])('%s has its own code and path', async (_, source, code) => {
  expect(await faultOf(source)).toMatchObject({ path: 'input.image', code })
})

it('a refused address and one with too large a file say so', async () => {
  fetched.set('https://10.0.0.1/', { kind: 'refused', error: '10.0.0.1 is not a public address' })
  fetched.set('https://example.com/big', { kind: 'too_large', error: 'is larger than 20000 bytes' })
  expect(await faultOf('https://10.0.0.1/')).toMatchObject({ code: 'url_refused' })
  expect(await faultOf('https://example.com/big')).toMatchObject({ code: 'input_too_large' })
})

it('every faulty item is named by its place', async () => {
  const good = dataUrl(png)
  const error = await images(good, 'nonsense', good, 'data:,').catch((fault) => fault)
  expect(error.errors.map(({ path }: { path: string }) => path)).toEqual([
    'inputs[1].image',
    'inputs[3].image',
  ])
})

it('all files of a job together have a limit, and so has their number', async () => {
  const large = (n: number) => dataUrl(Buffer.concat([png, Buffer.alloc(15_000, n)]))
  await expect(images(large(1), large(2), large(3))).rejects.toMatchObject({ code: 'input_too_large' })
  await expect(images(...Array(9).fill(dataUrl(png)))).rejects.toMatchObject({ code: 'too_many_items' })
  await expect(mediaInputs([], 'image', false, new Map(), 8, context)).rejects.toMatchObject({
    code: 'empty_input',
  })
})
