/** Image tasks on a fleet of real processes, against what the Python pipelines wrote beside the models. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { Millrace } from '@millrace/client'
import { type DetectedObject, errorCodes, type LabelScore } from '@millrace/contracts'
import { type Fleet, startFleet } from '@millrace/testkit'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, jobOf, post, problemOf, root } from './api.js'
import { dataUrl, expectClose, fileServer, media, referenceOf, upload } from './media.js'

const classifier = 'tiny-vit-classifier'
const features = 'tiny-vit'
const detector = 'tiny-yolos'
const captioner = 'tiny-captioner'
const wait = { prefer: 'wait=30' }

let fleet: Fleet
let files: Awaited<ReturnType<typeof fileServer>>
let redis: Redis
beforeAll(async () => {
  files = await fileServer()
  fleet = await startFleet({
    root,
    workers: 2,
    env: {
      MILLRACE_CONFIG: `${root}/models/fixtures/millrace.json`,
      MILLRACE_MODELS: `${classifier},${features},${detector},${captioner}`,
      MAX_ITEMS: '16',
      MAX_IMAGE_BYTES: '20000',
      MAX_IMAGE_PIXELS: '10000',
      JOB_MEDIA_BYTES: '60000',
      MEDIA_ALLOW_HTTP: 'true',
      MEDIA_ALLOW_CIDRS: '127.0.0.1/32',
    },
  })
  redis = new Redis(fleet.queueRedis.url)
})
afterAll(async () => {
  files.close()
  redis.disconnect()
  await fleet.stop()
})

interface Reference {
  labels: string[]
  items: { file: string; probabilities: number[]; cls: number[] }[]
}
const classified: Reference = referenceOf(classifier)
const extracted: Reference = referenceOf(features)
const inModelOrder = (found: unknown) =>
  classified.labels.map(
    (name) => (found as LabelScore[]).find(({ label }) => label === name)?.score ?? Number.NaN,
  )
interface Caption {
  file: string
  params: object
  generated_text: string
  finish_reason: string
  output_ids: number[]
}
const { items: captions } = referenceOf(captioner) as { items: Caption[] }
const blobKeys = () => redis.keys('mr:*:blobs')

it.each(captions.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
  'of %s is written with %s what the reference writes, and written once',
  async (file, params, { generated_text, finish_reason, output_ids }) => {
    const fields = [
      ['model', captioner],
      ['image', media(file)],
      ['options', params],
    ] as const
    const tokens = { prompt: 0, generated: output_ids.length }
    const wanted = { generated_text, finish_reason, tokens }
    expect(jobOf(await upload(fleet.url, fields, wait)).output).toEqual(wanted)
    const again = await upload(fleet.url, fields, wait)
    expect(again.headers.get('x-cache')).toBe('hit')
    expect(jobOf(again).output).toEqual(wanted)
  },
)

describe('an image', () => {
  it('is classified as the reference does it, by data URL, upload and address: one input, one result', async () => {
    for (const { file, probabilities } of classified.items) {
      const body = { model: classifier, input: { image: dataUrl(media(file)) } }
      const first = await post(fleet.url, body, wait)
      expect(first.headers.get('x-cache')).toBe('miss')
      const { output } = jobOf(first)
      expectClose(inModelOrder(output), probabilities)
      const uploaded = await upload(
        fleet.url,
        [
          ['model', classifier],
          ['image', media(file)],
        ],
        wait,
      )
      const fetched = await post(fleet.url, { ...body, input: { image: `${files.url}/${file}` } }, wait)
      for (const again of [uploaded, fetched]) {
        expect(again.headers.get('x-cache')).toBe('hit')
        expect(jobOf(again).output).toEqual(output)
        // Not kept in memory, but in a record of its own: it can be read again.
        expect((await finished(fleet.url, jobOf(again).id)).output).toEqual(output)
      }
    }
  })

  it('many in one form are answered in their order, and the best label alone when asked', async () => {
    const some = classified.items
    const fields = some.map(({ file }) => ['image', media(file)] as const)
    const options = ['options', '{"top_k":1}'] as const
    const job = jobOf(await upload(fleet.url, [['model', classifier], ...fields, options], wait))
    const best = some.map(
      ({ probabilities }) => classified.labels[probabilities.indexOf(Math.max(...probabilities))],
    )
    expect((job.output as LabelScore[][]).map((labels) => labels.map(({ label }) => label))).toEqual(
      best.map((label) => [label]),
    )
  })

  it('becomes the reference’s vector, as numbers or base64', async () => {
    const some = extracted.items
    const inputs = some.map(({ file }) => ({ image: dataUrl(media(file)) }))
    const job = jobOf(await post(fleet.url, { model: features, inputs }, wait))
    for (const [at, { cls }] of some.entries()) expectClose((job.output as number[][])[at] ?? [], cls)
    const asBase64 = { model: features, inputs, options: { encoding: 'base64' } }
    const [first] = jobOf(await post(fleet.url, asBase64, wait)).output as string[]
    const bytes = Buffer.from(first ?? '', 'base64')
    expectClose(
      [...new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))],
      some[0]?.cls ?? [],
    )
  })
})

describe('the objects of an image', () => {
  it('are the reference’s, above the threshold that was asked for', async () => {
    const reference = referenceOf(detector) as {
      items: { file: string; threshold: number; objects: DetectedObject[] }[]
    }
    for (const { file, threshold, objects } of reference.items) {
      const options = ['options', JSON.stringify({ threshold })] as const
      const job = jobOf(await upload(fleet.url, [['model', detector], ['image', media(file)], options], wait))
      const found = job.output as DetectedObject[]
      const places = (list: DetectedObject[]) => list.map(({ label, box }) => ({ label, box }))
      expect(places(found)).toEqual(places(objects))
      expectClose(
        found.map(({ score }) => score),
        objects.map(({ score }) => score),
      )
    }
  })

  it('are 0.5 and above by default: given and left out are one input', async () => {
    const body = { model: detector, input: { image: dataUrl(media('square.png')) } }
    const answer = await post(fleet.url, body, wait)
    expect(answer.headers.get('x-cache')).toBe('hit')
    const job = jobOf(await post(fleet.url, { ...body, options: { threshold: 0.5 } }, wait))
    expect(job.output).toEqual(jobOf(answer).output)
  })

  it('with a threshold that is none, or an option of another task, are refused by its path', async () => {
    for (const [name, value] of [
      ['threshold', 2],
      ['top_k', 1],
    ] as const) {
      const body = { model: detector, input: { image: 'x' }, options: { [name]: value } }
      expect(problemOf(await post(fleet.url, body))).toMatchObject({
        code: 'invalid_request',
        errors: [{ path: `options.${name}` }],
      })
    }
  })
})

describe('the bytes of an image', () => {
  it('are gone from the queue Redis once its job has succeeded', async () => {
    const form = [
      ['model', classifier],
      ['image', media('square.png')],
    ] as const
    jobOf(await upload(fleet.url, form, wait))
    expect(await blobKeys()).toEqual([])
  })

  it('are kept while a job that failed can be tried again; the retry fails alike', async () => {
    const truncated = media('scene.png').subarray(0, 900)
    const form = [
      ['model', classifier],
      ['image', truncated],
      ['image', media('grey.png').subarray(0, 300)],
    ] as const
    const job = jobOf(await upload(fleet.url, form, wait))
    expect(job).toMatchObject({
      status: 'failed',
      output: [{ error: { code: 'invalid_input' } }, { error: { code: 'invalid_input' } }],
    })
    expect(await blobKeys()).toEqual([`mr:{${job.id}}:blobs`])
    const retried = await call(fleet.url, `/v1/jobs/${job.id}/retry`, { method: 'POST' })
    expect(retried.status).toBe(202)
    expect(await finished(fleet.url, job.id)).toMatchObject({ status: 'failed', output: job.output })
  })

  it('that cannot be decoded fail alone, beside good ones', async () => {
    const inputs = [media('scene.png').subarray(0, 800), media('scene.png')].map((one) => ({
      image: dataUrl(one),
    }))
    const job = jobOf(await post(fleet.url, { model: classifier, inputs }, wait))
    expect(job).toMatchObject({
      status: 'succeeded',
      output: [{ error: { code: 'invalid_input' } }, expect.any(Array)],
    })
  })
})

describe('a form sent again', () => {
  const form = (bytes: Buffer) =>
    [
      ['model', classifier],
      ['image', bytes],
    ] as const
  it('under one Idempotency-Key is one job; with another file it is refused', async () => {
    const key = { 'idempotency-key': 'form-1', ...wait }
    const first = jobOf(await upload(fleet.url, form(media('scene.png')), key))
    expect(jobOf(await upload(fleet.url, form(media('scene.png')), key)).id).toBe(first.id)
    const other = await upload(fleet.url, form(media('grey.png')), key)
    expect(problemOf(other).code).toBe('idempotency_mismatch')
  })
})

/** A header of 65535 x 65535 pixels. */
function bomb(): Buffer {
  const bytes = Buffer.from(media('scene.png'))
  bytes.writeUInt32BE(65_535, 16)
  bytes.writeUInt32BE(65_535, 20)
  return bytes
}

describe('bad input has its own code and path, and stores nothing', () => {
  const png = media('scene.png')
  const large = Buffer.concat([png, Buffer.alloc(20_000)])
  const json = (image: unknown) => ({ model: classifier, input: { image } })
  it.each([
    ['no image', json(dataUrl(Buffer.from('hello'))), 'unsupported_media', 'input.image'],
    ['a recording', json(dataUrl(media('noise.wav'))), 'unsupported_media', 'input.image'],
    ['a bomb', json(dataUrl(bomb())), 'input_too_large', 'input.image'],
    ['too large a file', json(dataUrl(large)), 'input_too_large', 'input.image'],
    ['an empty file', json('data:image/png;base64,'), 'empty_input', 'input.image'],
    ['no URL', json('scene.png'), 'invalid_input', 'input.image'],
    ['an upload that is none', json('upload:x'), 'invalid_input', 'input.image'],
    ['a private address', json('https://10.0.0.1/a.png'), 'url_refused', 'input.image'],
    ['this machine, by another number', json('http://127.0.0.2/a.png'), 'url_refused', 'input.image'],
    ['the metadata service', json('http://169.254.169.254/latest'), 'url_refused', 'input.image'],
    ['an IPv6 loopback', json('http://[::1]/a.png'), 'url_refused', 'input.image'],
    ['a user in the address', json('https://a:b@example.com/'), 'url_refused', 'input.image'],
    ['a text', { model: classifier, input: 'a text' }, 'invalid_request', 'input'],
    ['an unknown field', { model: classifier, input: { image: 'x', more: 1 } }, 'invalid_request', 'input'],
    ['a number', json(7), 'invalid_request', 'input'],
    ['audio', { model: classifier, inputs: [{ audio: 'x' }] }, 'invalid_request', 'inputs[0]'],
    [
      'truncation',
      { ...json(dataUrl(png)), options: { truncate: true } },
      'invalid_request',
      'options.truncate',
    ],
    [
      'an option of another task',
      { ...json(dataUrl(png)), options: { encoding: 'float' } },
      'invalid_request',
      'options.encoding',
    ],
    ['no images', { model: classifier, inputs: [] }, 'empty_input', 'inputs'],
    ['too many', { model: classifier, inputs: Array(17).fill({ image: 'x' }) }, 'too_many_items', 'inputs'],
  ] as const)('%s', async (_, body, code, path) => {
    const answer = await post(fleet.url, body)
    const problem = problemOf(answer)
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code, path })
    expect(answer.status).toBe(errorCodes[code].status)
  })

  it('an address that redirects, and one where nothing is', async () => {
    for (const path of ['moved', 'nothing.png']) {
      const problem = problemOf(await post(fleet.url, json(`${files.url}/${path}`)))
      expect(problem).toMatchObject({ code: 'fetch_failed', errors: [{ path: 'input.image' }] })
    }
    expect(files.asked.filter((path) => path === '/scene.png').length).toBeLessThanOrEqual(1)
  })

  it('forms: an unknown field, no model, broken options, a file too large, all too large together', async () => {
    const image = ['image', png] as const
    const model = ['model', classifier] as const
    const forms = [
      [[model, image, ['nope', 'x']], 'invalid_request'],
      [[image], 'invalid_request'],
      [[model, image, ['options', '{']], 'malformed_json'],
      [[model, image, ['options', '{"top_k":0}']], 'invalid_request'],
      [[model, ['image', large]], 'input_too_large'],
      [[model, ['image', Buffer.alloc(200_000)]], 'body_too_large'],
      [[model, ...Array(17).fill(image)], 'too_many_items'],
    ] as const
    for (const [fields, code] of forms) {
      expect(problemOf(await upload(fleet.url, fields as never)).code).toBe(code)
    }
    const gone = await call(fleet.url, '/v1/jobs', {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data' },
      body: 'x',
    })
    expect(problemOf(gone).code).toBe('invalid_request')
  })
})

it('the command line and the client send files too', async () => {
  const [first, second] = classified.items
  const best = ({ probabilities }: Reference['items'][number] = { file: '', probabilities: [], cls: [] }) =>
    classified.labels[probabilities.indexOf(Math.max(...probabilities))]
  const path = (item: Reference['items'][number] | undefined) => `${root}/models/fixtures/media/${item?.file}`
  const args = [
    'submit',
    '--url',
    fleet.url,
    '--model',
    classifier,
    '--image',
    path(first),
    '--image',
    path(second),
  ]
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, [
    `${root}/apps/cli/dist/main.js`,
    ...args,
    '--wait',
    '--json',
  ])
  const told = JSON.parse(stdout) as { output: LabelScore[][] }
  expect(told.output.map(([one]) => one?.label)).toEqual([best(first), best(second)])
  const client = new Millrace({ baseUrl: fleet.url })
  const image = new Blob([new Uint8Array(media(first?.file ?? ''))])
  const job = await client.submitFiles({ model: classifier, image, options: { top_k: 1 } }, { waitS: 30 })
  expect((job.output as LabelScore[])[0]?.label).toBe(best(first))
})

it('the description shows the form, and the models say what they take', async () => {
  const { body } = await call(fleet.url, '/openapi.json')
  const content = (body as { paths: Record<string, { post: { requestBody: { content: object } } }> }).paths[
    '/v1/jobs'
  ]?.post.requestBody.content
  expect(Object.keys(content ?? {})).toEqual(['application/json', 'multipart/form-data'])
  const models = (await call(fleet.url, '/v1/models')).body as { data: { id: string; facts: object }[] }
  expect(models.data.find(({ id }) => id === classifier)?.facts).toMatchObject({
    task: 'image-classification',
    labels: classified.labels,
    max_tokens: 17,
    batching: { mode: 'batched' },
  })
})
