/** A model's files against their pin, and against themselves over the life of a worker. Runs the built model process. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ModelEvent } from './events.js'
import { codes, FakeModels, item } from './load-fake-model.js'
import { type LoadModelOptions, loadModel } from './load-model.js'
import { filesDigest, ModelDigestError } from './pinned-digest.js'
import { digestModel } from './read-model.js'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const fixture = fileURLToPath(new URL('../../../models/fixtures/tiny-classifier', import.meta.url))
const weights = 'onnx/model.onnx'

const models = new FakeModels()
let scratch: string
let dir: string
let dataDir: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-pinned-'))
})
beforeEach(async () => {
  dir = await mkdtemp(join(scratch, 'model-'))
  dataDir = await mkdtemp(join(scratch, 'data-'))
  cpSync(fixture, dir, { recursive: true })
})
afterEach(() => models.closeAll())
afterAll(() => rm(scratch, { recursive: true, force: true }))

const place = () => ({ alias: 'm', task: 'text-classification' as const, dtype: 'fp32', dir, dataDir })
const options = (more: Partial<LoadModelOptions> = {}): LoadModelOptions => ({
  ...place(),
  processes: 1,
  threads: 1,
  batchTimeoutMs: 10_000,
  strictBatching: false,
  ...more,
})

async function refusal(more: Partial<LoadModelOptions>): Promise<ModelDigestError> {
  const error: unknown = await loadModel(options(more)).then(
    (model) => model.close(),
    (error: unknown) => error,
  )
  if (error instanceof ModelDigestError) return error
  throw new Error(`it was not refused: ${error}`)
}

describe('the digest of a model', () => {
  it('is of its files alone: their names and content, wherever they lie', async () => {
    const digest = await digestModel(place())
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(await digestModel({ ...place(), dir: fixture })).toBe(digest)
    writeFileSync(join(dir, 'README.md'), 'decides nothing')
    expect(await digestModel(place())).toBe(digest)
    appendFileSync(join(dir, weights), ' ')
    expect(await digestModel(place())).not.toBe(digest)
  })

  it.each([
    ['tiny-vit', 'image-feature-extraction', 'preprocessor_config.json'],
    ['tiny-wav2vec2', 'automatic-speech-recognition', 'preprocessor_config.json'],
    ['tiny-wav2vec2', 'automatic-speech-recognition', 'vocab.json'],
    ['tiny-wav2vec2', 'automatic-speech-recognition', 'tokenizer_config.json'],
  ] as const)('%s for %s is of its %s, too', async (name, task, file) => {
    const model = { ...place(), dir: join(dir, name), task }
    cpSync(join(fixture, '..', name), model.dir, { recursive: true })
    const digest = await digestModel(model)
    appendFileSync(join(model.dir, file), ' ')
    expect(await digestModel(model)).not.toBe(digest)
  })

  it('does not depend on the order of files', () => {
    const files = new Map([
      ['a', '1'],
      ['b', '2'],
    ])
    expect(filesDigest(new Map([...files].reverse()))).toBe(filesDigest(files))
    expect(filesDigest(new Map([['a', '1']]))).not.toBe(filesDigest(files))
  })

  it('is not told of a hub model that was never downloaded, and no hub is asked', async () => {
    const hub = { id: 'owner/name', revision: 'a'.repeat(40) }
    expect(await digestModel({ ...place(), dir: null, hub })).toBeUndefined()
  })
})

describe('a pinned model', () => {
  it('with the pinned files loads', async () => {
    const model = await loadModel(options({ digest: await digestModel(place()) }))
    expect(model.facts).toMatchObject({ task: 'text-classification' })
    await model.close()
  })

  it('with others is refused before anything is run, in words that name both digests', async () => {
    const pinned = (await digestModel(place())) ?? ''
    appendFileSync(join(dir, weights), ' ')
    const events: ModelEvent[] = []
    const error = await refusal({ digest: pinned, mappedWeights: true, on: (event) => events.push(event) })
    expect(error).toMatchObject({ pinned, found: await digestModel(place()) })
    expect(error.message).toContain(error.pinned)
    expect(error.message).toContain(error.found)
    expect(error.message).not.toContain('Changed')
    expect(events).toEqual([])
    expect(existsSync(join(dataDir, 'prepared'))).toBe(false)
  })

  it('is refused by the names of the files, once it was loaded with the pinned ones', async () => {
    const pinned = (await digestModel(place())) ?? ''
    await (await loadModel(options({ digest: pinned }))).close()
    appendFileSync(join(dir, weights), ' ')
    writeFileSync(join(dir, 'modules.json'), '[]')
    rmSync(join(dir, 'special_tokens_map.json'))
    const { message } = await refusal({ digest: pinned })
    expect(message).toContain(`Changed: ${weights}. Added: modules.json. Missing: special_tokens_map.json.`)
  })

  it('is refused without names where what was noted of the pin is not of it', async () => {
    const pinned = (await digestModel(place())) ?? ''
    await (await loadModel(options({ digest: pinned }))).close()
    const [note = ''] = readdirSync(join(dataDir, 'digests'))
    const noted = JSON.parse(readFileSync(join(dataDir, 'digests', note), 'utf8'))
    writeFileSync(join(dataDir, 'digests', note), JSON.stringify({ ...noted, 'other.json': 'x' }))
    appendFileSync(join(dir, weights), ' ')
    expect((await refusal({ digest: pinned })).message).not.toContain('Missing')
  })
})

describe('a model process that has to be started again', () => {
  async function killed(change: () => void) {
    const { model, events } = await models.load({}, { dir, dtype: 'fp32', dataDir })
    change()
    process.kill(model.pids()[0] ?? Number.NaN, 'SIGKILL')
    return { model, events }
  }

  it('is not started on files that changed since they were digested', async () => {
    const { model, events } = await killed(() => appendFileSync(join(dir, 'tokenizer.json'), ' '))
    await vi.waitFor(() => expect(events.at(-1)?.type).toBe('gave-up'), { timeout: 10_000 })
    expect(events.at(-1)).toMatchObject({ message: expect.stringMatching(/changed since.*tokenizer\.json/) })
    await expect(model.runBatch([item(1)])).rejects.toThrow(/changed since/)
  })

  it('is not started where a file is gone', async () => {
    const { events } = await killed(() => rmSync(join(dir, 'config.json')))
    await vi.waitFor(() => expect(events.at(-1)?.type).toBe('gave-up'), { timeout: 10_000 })
    expect(events.at(-1)).toMatchObject({ message: expect.stringContaining('config.json') })
  })

  it('is started on files that were touched only', async () => {
    const { model } = await killed(() => utimesSync(join(dir, 'config.json'), 1, 1))
    expect(codes((await model.runBatch([item(1)])).outcomes)).toEqual(['ok'])
  })
})
