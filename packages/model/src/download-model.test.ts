/** Downloads from a hub of our own on loopback; the real one is never asked. Runs the built download child. */
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DownloadOptions, downloadModel } from './download-model.js'
import { findModelFiles } from './model-files.js'

const modelsDir = fileURLToPath(new URL('../../../models', import.meta.url))
const starter = join(modelsDir, 'all-MiniLM-L6-v2')
const id = 'owner/name'
const revision = 'a'.repeat(40)
const prefix = `/${id}/resolve/${revision}/`

let server: Server
let requests: string[] = []
let answer: (file: string) => 'file' | 'missing' | 'fault' | 'silence'
let dataDir: string
/** What the hub has. */
let served = starter
const scratch: string[] = []

beforeEach(async () => {
  requests = []
  served = starter
  answer = (file) => (existsSync(join(served, file)) ? 'file' : 'missing')
  dataDir = await mkdtemp(join(tmpdir(), 'millrace-download-'))
  scratch.push(dataDir)
  server = createServer(async (request, response) => {
    const url = request.url ?? ''
    requests.push(url)
    const file = url.startsWith(prefix) ? url.slice(prefix.length) : ''
    const kind = file === '' ? 'missing' : answer(file)
    if (kind === 'silence') return
    if (kind !== 'file') return response.writeHead(kind === 'missing' ? 404 : 500).end()
    response.writeHead(200, { 'content-length': (await stat(join(served, file))).size })
    return request.method === 'HEAD' ? response.end() : createReadStream(join(served, file)).pipe(response)
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
    dtype: 'q8',
    dataDir,
    remoteHost: `http://127.0.0.1:${port}/`,
    ...options,
  })
}

async function expectSameFile(dir: string, file: string): Promise<void> {
  const [there, here] = await Promise.all([readFile(join(dir, file)), readFile(join(served, file))])
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

describe('a model that generates', () => {
  it.each([
    ['tiny-writer', 'text-generation', ['onnx/model.onnx']],
    ['tiny-rewriter', 'summarization', ['onnx/decoder_model_merged.onnx', 'onnx/encoder_model.onnx']],
  ] as const)(
    '%s for %s comes with the graphs of its task and what its files say of generating',
    async (name, task, graphs) => {
      served = join(modelsDir, 'fixtures', name)
      const dir = await download({ dtype: 'fp32', task })
      for (const file of [...graphs, 'generation_config.json', 'config.json']) await expectSameFile(dir, file)
      const decisive = await findModelFiles(dir, 'fp32', { onnx: true, task })
      expect(decisive.filter((file) => file.startsWith('onnx/'))).toEqual(graphs)
    },
    30_000,
  )
})

describe('a download that fails', () => {
  it('names the model and the file, and is tried anew the next time', async () => {
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
