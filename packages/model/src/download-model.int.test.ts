/** Downloads from a hub of our own on loopback; the real one is never asked. Runs the built download child. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DownloadOptions, downloadModel, resolveRevision } from './download-model.js'
import { findModelFiles } from './model-files.js'

const modelsDir = fileURLToPath(new URL('../../../models', import.meta.url))
const starter = join(modelsDir, 'all-MiniLM-L6-v2')
const tiny = join(modelsDir, 'fixtures', 'tiny-classifier')
const id = 'owner/name'
const revision = 'a'.repeat(40)
const prefix = `/${id}/resolve/${revision}/`

/** What the hub serves, and in which dtype it has it. */
let source = { folder: starter, dtype: 'q8' }
let server: Server
let requests: string[] = []
let answer: (file: string) => 'file' | 'missing' | 'fault' | 'silence'
/** What the hub says of a file beside its size. */
let saidOf: (file: string) => Record<string, string>
let dataDir: string
const scratch: string[] = []

beforeEach(async () => {
  source = { folder: starter, dtype: 'q8' }
  requests = []
  saidOf = () => ({})
  answer = (file) => (existsSync(join(source.folder, file)) ? 'file' : 'missing')
  dataDir = await mkdtemp(join(tmpdir(), 'millrace-download-'))
  scratch.push(dataDir)
  server = createServer(async (request, response) => {
    const url = request.url ?? ''
    requests.push(url)
    const file = /^\/owner\/name\/resolve\/[^/]+\/(.*)$/.exec(url)?.[1] ?? ''
    const kind = file === '' ? 'missing' : answer(file)
    if (kind === 'silence') return
    if (kind !== 'file') return response.writeHead(kind === 'missing' ? 404 : 500).end()
    response.writeHead(200, {
      'content-length': (await stat(join(source.folder, file))).size,
      ...saidOf(file),
    })
    return request.method === 'HEAD'
      ? response.end()
      : createReadStream(join(source.folder, file)).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true, force: true }))))

function download(options: Partial<DownloadOptions> = {}): Promise<string> {
  const { port } = server.address() as AddressInfo
  return downloadModel({
    id,
    revision,
    dtype: source.dtype,
    dataDir,
    remoteHost: `http://127.0.0.1:${port}/`,
    ...options,
  })
}

async function expectSameFile(dir: string, file: string): Promise<void> {
  const [there, here] = await Promise.all([readFile(join(dir, file)), readFile(join(source.folder, file))])
  expect(there.equals(here)).toBe(true)
}

describe('a hub model', () => {
  it('lands in its folder by id and revision, also for two workers at once, and then needs no hub', async () => {
    const fetched: string[] = []
    const on: DownloadOptions['on'] = (event) => event.type === 'download' && fetched.push(event.file)
    const [dir, other] = await Promise.all([download({ on }), download()])
    expect(dir).toBe(join(dataDir, 'models', id, revision))
    expect(other).toBe(dir)
    const settings = { onnx: true, poolingFile: '1_Pooling/config.json' }
    const decisive = (await findModelFiles(starter, 'q8', settings)).toSorted()
    expect(fetched.toSorted()).toEqual(decisive)
    for (const file of decisive) await expectSameFile(dir, file)
    expect(requests.every((url) => url.startsWith(prefix))).toBe(true)

    const before = requests.length
    expect(await download()).toBe(dir)
    expect(requests).toHaveLength(before)
  }, 30_000)
})

describe('a hub that says what its files are', () => {
  beforeEach(() => {
    source = { folder: tiny, dtype: 'fp32' }
  })
  const sha256 = (file: string) =>
    createHash('sha256')
      .update(readFileSync(join(tiny, file)))
      .digest('hex')
  /** git hash-object config.json */
  const blobOf = (file: string) => {
    const content = readFileSync(join(tiny, file))
    return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
  }
  const weights = 'onnx/model.onnx'

  it('is believed where they are as it says, large ones by SHA-256 and small ones by git blob', async () => {
    saidOf = (file) =>
      file === weights
        ? { etag: '"of the store"', 'x-linked-etag': `"${sha256(file)}"` }
        : { etag: `W/"${blobOf(file)}"` }
    await expectSameFile(await download(), weights)
    const heads = requests.filter((url) => url.endsWith(weights))
    expect(heads.length).toBeGreaterThan(1)
  }, 30_000)

  it.each([
    [weights, 'x-linked-etag', 'a'.repeat(64)],
    ['config.json', 'etag', 'b'.repeat(40)],
  ])(
    'is told where %s is another, which is fetched anew the next time',
    async (file, header, digest) => {
      saidOf = (asked) => (asked === file ? { [header]: `"${digest}"` } : {})
      await expect(download()).rejects.toThrow(new RegExp(`${file} is not what arrived: .*${digest}`))
      expect(existsSync(join(dataDir, 'models', id, revision, file))).toBe(false)
      saidOf = () => ({})
      await expectSameFile(await download(), file)
    },
    30_000,
  )
})

describe('a model that generates', () => {
  it.each([
    ['tiny-writer', 'text-generation', ['onnx/model.onnx']],
    ['tiny-rewriter', 'summarization', ['onnx/decoder_model_merged.onnx', 'onnx/encoder_model.onnx']],
    ['tiny-captioner', 'image-to-text', ['onnx/decoder_model_merged.onnx', 'onnx/encoder_model.onnx']],
    [
      'tiny-whisper',
      'automatic-speech-recognition',
      ['onnx/decoder_model_merged.onnx', 'onnx/encoder_model.onnx'],
    ],
  ] as const)(
    '%s for %s comes with the graphs of its task and what its files say of generating',
    async (name, task, graphs) => {
      source = { folder: join(modelsDir, 'fixtures', name), dtype: 'fp32' }
      const dir = await download({ dtype: 'fp32', task })
      for (const file of [...graphs, 'generation_config.json', 'config.json']) await expectSameFile(dir, file)
      const decisive = await findModelFiles(dir, 'fp32', { onnx: true, task })
      expect(decisive.filter((file) => file.startsWith('onnx/'))).toEqual(graphs)
    },
    30_000,
  )
})

describe('a model of images or speech', () => {
  it.each([
    ['tiny-vit', 'image-feature-extraction', []],
    ['tiny-yolos', 'object-detection', []],
    ['tiny-wav2vec2', 'automatic-speech-recognition', ['vocab.json', 'tokenizer_config.json']],
  ] as const)(
    '%s for %s comes with what prepares its inputs, also where it is here for texts',
    async (name, task, words) => {
      source = { folder: join(modelsDir, 'fixtures', name), dtype: 'fp32' }
      await expect(download({ dtype: 'fp32' })).rejects.toThrow('lacks tokenizer.json')
      const fetched: string[] = []
      const on: DownloadOptions['on'] = (event) => event.type === 'download' && fetched.push(event.file)
      const dir = await download({ dtype: 'fp32', task, on })
      expect(fetched).toEqual(expect.arrayContaining(['config.json', 'preprocessor_config.json', ...words]))
      for (const file of fetched) await expectSameFile(dir, file)
    },
    30_000,
  )
})

describe('a model that was downloaded before', () => {
  beforeEach(() => {
    source = { folder: tiny, dtype: 'fp32' }
  })
  it('is held against the hub again where that is asked for', async () => {
    const dir = await download()
    const file = 'config.json'
    const good = createHash('sha256')
      .update(readFileSync(join(dir, file)))
      .digest('hex')
    saidOf = (asked) => (asked === file ? { 'x-linked-etag': good } : {})
    const before = requests.length
    expect(await download()).toBe(dir)
    expect(requests).toHaveLength(before)
    expect(await download({ recheck: true })).toBe(dir)
    expect(requests.length).toBeGreaterThan(before)
    saidOf = (asked) => (asked === 'onnx/model.onnx' ? { etag: 'd'.repeat(40) } : {})
    await expect(download({ recheck: true })).rejects.toThrow(/model\.onnx is not what arrived/)
    saidOf = () => ({})
    await expectSameFile(await download(), 'onnx/model.onnx')
  }, 30_000)
})

describe('a branch or a tag', () => {
  const resolve = (name: string) => {
    const { port } = server.address() as AddressInfo
    return resolveRevision({ id, revision: name, remoteHost: `http://127.0.0.1:${port}/` })
  }

  it('is resolved to the commit that the hub says it is, and nothing is kept', async () => {
    saidOf = () => ({ 'x-repo-commit': revision })
    expect(await resolve('main')).toBe(revision)
    expect(requests).toEqual([`/${id}/resolve/main/config.json`])
    expect(existsSync(join(dataDir, 'models'))).toBe(false)
  }, 30_000)

  it('is not guessed where the hub does not say, or says something else', async () => {
    expect(await resolve('v1')).toBeUndefined()
    saidOf = () => ({ 'x-repo-commit': 'latest' })
    expect(await resolve('v1')).toBeUndefined()
  }, 30_000)

  it('that the hub has not is named', async () => {
    answer = () => 'missing'
    await expect(resolve('nope')).rejects.toThrow(/owner\/name at nope cannot be downloaded/)
  }, 30_000)
})

describe('a download that fails', () => {
  it('names the model and the file, and is tried anew the next time', async () => {
    saidOf = () => ({})
    answer = (file) => (file === 'sentence_bert_config.json' ? 'fault' : 'file')
    await expect(download()).rejects.toThrow(
      /owner\/name at a{40} cannot be downloaded: .*sentence_bert_config.json/,
    )
    await expect(download()).rejects.toThrow('sentence_bert_config.json')
    expect(requests.filter((url) => url.endsWith('sentence_bert_config.json'))).toHaveLength(2)
  }, 30_000)

  it('because the hub has no such dtype says so', async () => {
    await expect(download({ dtype: 'fp32' })).rejects.toThrow(/onnx\/model.onnx/)
  }, 30_000)

  it('because nothing arrives ends within its limit', async () => {
    answer = () => 'silence'
    await expect(download({ stallMs: 1500 })).rejects.toThrow(/nothing arrived for 1500 ms/)
  }, 30_000)

  it('because the revision is no commit never asks the hub', async () => {
    await expect(download({ revision: 'main' })).rejects.toThrow(/pinned revision/)
    await expect(download({ id: '../../etc' })).rejects.toThrow(/not a hub id/)
    expect(requests).toEqual([])
  })
})
