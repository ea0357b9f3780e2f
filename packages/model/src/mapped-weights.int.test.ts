/** Mapped weights, through real processes on the starter model and the fixtures. Runs the built model process. */
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { EncodedItem } from './engine.js'
import type { ModelEvent } from './events.js'
import { type LoadedModel, type LoadModelOptions, loadModel } from './load-model.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const models = fileURLToPath(new URL('../../../models', import.meta.url))
const starter = { dir: join(models, 'all-MiniLM-L6-v2'), task: 'feature-extraction', dtype: 'q8' } as const
const classifier = {
  dir: join(models, 'fixtures/tiny-classifier'),
  task: 'text-classification',
  dtype: 'fp32',
} as const
const others = [
  { dir: join(models, 'fixtures/tiny-filler'), task: 'fill-mask', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-entailer'), task: 'zero-shot-classification', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-vit'), task: 'image-feature-extraction', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-yolos'), task: 'object-detection', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-wav2vec2'), task: 'automatic-speech-recognition', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-writer'), task: 'text-generation', dtype: 'fp32' },
  // Graphs with two branches.
  { dir: join(models, 'fixtures/tiny-whisper'), task: 'automatic-speech-recognition', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-rewriter'), task: 'text2text-generation', dtype: 'fp32' },
  { dir: join(models, 'fixtures/tiny-captioner'), task: 'image-to-text', dtype: 'fp32' },
] as const
const texts = [
  'One.',
  'A text of a few more words than the first.',
  `A long one: ${'and so on, '.repeat(20)}`,
]

let dataDir: string
let open: LoadedModel[]
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'millrace-mapped-'))
  open = []
})
afterEach(async () => {
  await Promise.all(open.map((model) => model.close({ force: true })))
  rmSync(dataDir, { recursive: true, force: true })
})

async function load(
  model: Pick<LoadModelOptions, 'dir' | 'task' | 'dtype'>,
  options: Partial<LoadModelOptions> = {},
): Promise<{ model: LoadedModel; events: ModelEvent[] }> {
  const events: ModelEvent[] = []
  const loaded = await loadModel({
    ...model,
    alias: 'mapped',
    dataDir,
    processes: 1,
    threads: 1,
    batchTimeoutMs: 30_000,
    strictBatching: false,
    mappedWeights: true,
    // The smallest that the configuration allows: what a model is tried with has to be smaller.
    engineOptions: { maxImagePixels: 1024, maxAudioS: 1 },
    on: (event) => events.push(event),
    ...options,
  })
  open.push(loaded)
  return { model: loaded, events }
}

async function answers(model: LoadedModel): Promise<number[][]> {
  const batch: EncodedItem[] = texts.map((text, place) => model.probe(text, place))
  const { outcomes } = await model.runBatch(batch)
  return outcomes.map((outcome) => {
    if (!outcome.ok) throw new Error('An item failed')
    return [...outcome.vector]
  })
}

function largestDifference(a: number[][], b: number[][]): number {
  expect(a.map(({ length }) => length)).toEqual(b.map(({ length }) => length))
  const others = b.flat()
  return Math.max(...a.flat().map((value, place) => Math.abs(value - (others[place] ?? Number.NaN))))
}

const named = (events: ModelEvent[], type: ModelEvent['type']) => events.filter((one) => one.type === type)
const prepared = () => readdirSync(join(dataDir, 'prepared'))

it.each([starter, classifier, ...others])(
  '$dtype $task: a prepared model answers as the plain one',
  async (files) => {
    const mapped = await load(files)
    const plain = await load(files, { mappedWeights: false })
    expect(named(mapped.events, 'weights-mapped')).toMatchObject([{ found: false, prepacked: true }])
    expect(named(mapped.events, 'weights-not-mapped')).toEqual([])
    expect(largestDifference(await answers(mapped.model), await answers(plain.model))).toBeLessThanOrEqual(
      1e-6,
    )
    expect(mapped.model.facts.version).toBe(plain.model.facts.version)
  },
)

it('is prepared once: who loads at the same time waits, who loads later finds it', async () => {
  const both = await Promise.all([load(starter), load(starter)])
  const later = await load(starter)
  const found = [...both, later].flatMap(({ events }) => named(events, 'weights-mapped'))
  expect(found.map((event) => event.type === 'weights-mapped' && event.found).sort()).toEqual([
    false,
    true,
    true,
  ])
  expect(prepared()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)])
})

it('what a killed writer left half written is never used, and is swept away', async () => {
  await load(classifier)
  const [key = ''] = prepared()
  renameSync(join(dataDir, 'prepared', key), join(dataDir, 'prepared', `${key}.half-written.tmp`))
  const { events } = await load(classifier)
  expect(named(events, 'weights-mapped')).toMatchObject([{ found: false }])
  expect(prepared()).toEqual([key])
})

it('files that were cut short are prepared anew, not loaded', async () => {
  await load(starter)
  const [key = ''] = prepared()
  truncateSync(join(dataDir, 'prepared', key, 'onnx/model_quantized.onnx.data'), 1000)
  const { model, events } = await load(starter)
  expect(named(events, 'weights-mapped')).toMatchObject([{ found: false }])
  expect(await answers(model)).toHaveLength(texts.length)
})

it('a prepared graph that does not load is said and passed over: the plain file serves', async () => {
  await load(starter)
  const [key = ''] = prepared()
  const folder = join(dataDir, 'prepared', key)
  writeFileSync(join(folder, 'onnx/model_quantized.onnx'), 'not a graph')
  const note = { prepacked: false, files: { 'onnx/model_quantized.onnx': 'not a graph'.length } }
  writeFileSync(join(folder, 'prepared.json'), JSON.stringify(note))
  const { model, events } = await load(starter, { processes: 2 })
  expect(named(events, 'weights-not-mapped').length).toBeGreaterThan(0)
  expect(named(events, 'process-start-failed')).toEqual([])
  expect(await answers(model)).toHaveLength(texts.length)
})

it('a data folder that cannot be written is said, and the plain file serves', async () => {
  writeFileSync(join(dataDir, 'a-file'), '')
  const { model, events } = await load(starter, { dataDir: join(dataDir, 'a-file') })
  expect(named(events, 'weights-not-mapped')).toMatchObject([{ why: expect.stringMatching(/\S/) }])
  expect(await answers(model)).toHaveLength(texts.length)
})

it('a model that cannot be loaded at all fails as without mapping, and leaves nothing behind', async () => {
  const broken = join(dataDir, 'broken')
  cpSync(starter.dir, broken, { recursive: true })
  writeFileSync(join(broken, 'onnx/model_quantized.onnx'), 'not a graph')
  await expect(load({ ...starter, dir: broken })).rejects.toThrow(/cannot be loaded/)
  expect(prepared()).toEqual([])
})

it.runIf(process.platform === 'linux')(
  'a process with mapped weights holds less of its own, also while it is the only one',
  async () => {
    const grown = async (options: Partial<LoadModelOptions>) => {
      const { events } = await load(starter, options)
      expect(named(events, 'weights-not-shared')).toEqual([])
      const [ready] = events.flatMap((event) => (event.type === 'process-ready' ? [event] : []))
      return ready?.privateGrowthBytes ?? Number.NaN
    }
    const [mapped, plain] = [await grown({}), await grown({ mappedWeights: false })]
    // The word embeddings of the starter model (30,522 times 384 bytes) and its packed weights are 24 MB.
    expect(plain - mapped).toBeGreaterThan(20e6)
  },
)
