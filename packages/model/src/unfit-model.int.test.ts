/** Models that cannot be prepared, and processes that hold too much, for real: engines made for it, in real children. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { EngineSpec } from './engine.js'
import type { ModelEvent } from './events.js'
import { ModelProcess } from './model-process.js'
import { type PrepareModelOptions, prepareModel } from './prepare-model.js'
import { runtimeVersion } from './prepared-key.js'
import { startMapped } from './start-mapped.js'
import { unfitSuffix } from './unfit-note.js'

// Processes are forked here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const spec: EngineSpec = {
  dir: fileURLToPath(new URL('../../../models/fixtures/tiny-classifier', import.meta.url)),
  dtype: 'fp32',
  device: 'cpu',
  task: 'text-classification',
  output: { kind: 'scores', activation: 'softmax' },
  padTokenId: 0,
  threads: 1,
  options: {},
}

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'millrace-unfit-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

/** One file, which stays as it is. @param digest of it */
function filesOf(digest: string): PrepareModelOptions['files'] {
  return { digests: new Map([['model', digest]]), assertUnchanged: async () => {} }
}

/** @param body of an engine's class; `this.spec` is its spec */
function engine(body: string): PrepareModelOptions {
  const engineModule = join(dataDir, 'engine.mjs')
  const code = `
    import { appendFileSync } from 'node:fs'
    class Made {
      constructor(spec) { this.spec = spec; appendFileSync(${JSON.stringify(join(dataDir, 'made'))}, 'x') }
      async load() { return { dimensions: 1 } }
      async run(batch) { return batch.map(() => Float32Array.of(1)) }
      async close() {}
      ${body}
    }
    export const createEngine = (spec) => new Made(spec)`
  writeFileSync(engineModule, code)
  return {
    engineModule,
    spec,
    probes: [{ ids: Int32Array.of(1) }],
    files: filesOf('a'),
    dataDir,
    limitMs: 50_000,
  }
}

const made = () => readFileSync(join(dataDir, 'made'), 'utf8').length
const answersOtherwise =
  'async run(batch) { return batch.map(() => Float32Array.of(this.spec.prepared ? 2 : 1)) }'

it('a model whose saved graph answers otherwise is tried once; the reason is told at every start', async () => {
  const options = engine(answersOtherwise)
  await expect(prepareModel(options)).rejects.toThrow(
    /not the same model: with packed weights .* differ by 1/,
  )
  const engines = made()
  const again = prepareModel(options)
  await expect(again).rejects.toThrow(/not the same model/)
  await expect(again).rejects.toThrow(`ONNX Runtime ${await runtimeVersion()}; not tried again`)
  expect(made()).toBe(engines)
})

it('who waited for the verdict of another gets it too, and nothing else is left behind', async () => {
  const options = engine(answersOtherwise)
  const outcomes = await Promise.allSettled([prepareModel(options), prepareModel(options)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(readdirSync(join(dataDir, 'prepared'))).toEqual([
    expect.stringMatching(/^[0-9a-f]{64}\.unfit\.json$/),
  ])
})

it('without its verdict, or as another file, it is tried again', async () => {
  const options = engine(answersOtherwise)
  await expect(prepareModel(options)).rejects.toThrow()
  const mended = engine('')
  await expect(prepareModel(mended)).rejects.toThrow('not tried again')
  await expect(prepareModel({ ...mended, files: filesOf('b') })).resolves.toBeDefined()
  const [verdict = ''] = readdirSync(join(dataDir, 'prepared')).filter((name) => name.endsWith(unfitSuffix))
  rmSync(join(dataDir, 'prepared', verdict))
  await expect(prepareModel(mended)).resolves.toMatchObject({ found: false })
})

it('files that changed meanwhile leave no verdict: it would be of other files than its name says', async () => {
  const changed = async () => {
    throw new Error('model changed')
  }
  const options = engine(answersOtherwise)
  const files = { ...options.files, assertUnchanged: changed }
  await expect(prepareModel({ ...options, files })).rejects.toThrow('model changed')
  expect(readdirSync(join(dataDir, 'prepared'))).toEqual([])
})

it('an engine that fails at its plain file is no verdict: the next start tries again', async () => {
  const failing = engine('async load() { throw new Error("no room") }')
  await expect(prepareModel(failing)).rejects.toThrow('no room')
  expect(readdirSync(join(dataDir, 'prepared'))).toEqual([])
  await expect(prepareModel(engine(''))).resolves.toBeDefined()
})

it.runIf(process.platform === 'linux')(
  'a process that holds more than shared weights leave is told of, with what to do; it serves all the same',
  async () => {
    const grown = 'async load() { this.own = Buffer.alloc(90 << 20, 1); return { dimensions: 1 } }'
    const options = engine(grown)
    const events: ModelEvent[] = []
    const limits = { loadTimeoutMs: 50_000, batchTimeoutMs: 50_000 }
    const start = await startMapped(
      options,
      (wanted, signal) =>
        ModelProcess.start({ engineModule: options.engineModule, spec: wanted, ...limits }, signal),
      (event) => events.push(event),
    )
    const model = await start(new AbortController().signal)
    try {
      const [told] = events.flatMap((event) => (event.type === 'weights-not-shared' ? [event] : []))
      expect(told?.privateGrowthBytes).toBeGreaterThan(90 << 20)
      expect(told?.boundBytes).toBeLessThan(50 << 20)
      expect(told?.why).toMatch(
        /^A model process holds \d+ MB of its own, where shared weights leave at most 4\d MB/,
      )
      expect(told?.why).toMatch(
        /another CPU, or this system could not map it\. Remove .*prepared.*MAPPED_WEIGHTS/,
      )
      expect((await model.run([{ ids: Int32Array.of(1) }])).vectors).toHaveLength(1)
    } finally {
      await model.stop(1000)
    }
  },
)
