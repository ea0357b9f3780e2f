/** A generating model behind real forked processes: what is told while it writes, and what ends it. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ModelEvent } from './events.js'
import { readWritten } from './generation/written-tokens.js'
import { type LoadedModel, loadModel } from './load-model.js'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

const fixture = fileURLToPath(new URL('../../../models/fixtures/tiny-writer', import.meta.url))
const batchTimeoutMs = 1500
const events: ModelEvent[] = []
let scratch: string
let model: LoadedModel

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-generation-'))
  const dir = join(scratch, 'long-writer')
  await cp(fixture, dir, { recursive: true })
  await change(join(dir, 'config.json'), { max_position_embeddings: 1_000_000 })
  await change(join(dir, 'tokenizer_config.json'), { model_max_length: 1_000_000 })
  model = await loadModel({
    alias: 'long-writer',
    task: 'text-generation',
    dtype: 'fp32',
    dir,
    dataDir: scratch,
    processes: 1,
    threads: 1,
    batchTimeoutMs,
    strictBatching: true,
    mappedWeights: true,
    on: (event) => events.push(event),
  })
})
afterAll(async () => {
  await model?.close({ force: true })
  await rm(scratch, { recursive: true, force: true })
})

async function change(file: string, changes: object): Promise<void> {
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...changes }))
}

const endless = { max_new_tokens: 900_000, min_new_tokens: 900_000 }
const encode = (params: object) => model.encode({ input: 'The mill', truncate: false, params: { ...params } })
const writtenOf = async (batch: ReturnType<LoadedModel['runBatch']>) =>
  (await batch).outcomes.map((outcome) => {
    if (!outcome.ok) throw new Error(outcome.error.detail)
    return readWritten(outcome.vector)
  })

it('writes one at a time, says so, and is not refused for it; its weights are mapped', () => {
  expect(model.maxBatchItems).toBe(1)
  expect(model.facts).toMatchObject({
    task: 'text-generation',
    context: 1_000_000,
    max_tokens: 999_999,
    batching: { mode: 'one_at_a_time', probe_difference: 0 },
  })
  expect(events).toContainEqual({ type: 'self-test', difference: 0, mode: 'one_at_a_time' })
  expect(events.map(({ type }) => type)).toContain('weights-mapped')
})

it('tells the tokens of each item of a batch as they are written', async () => {
  const heard: number[][] = [[], []]
  const batch = [encode({ max_new_tokens: 5 }), encode({ max_new_tokens: 7 })]
  const written = await writtenOf(
    model.runBatch(batch, { onTokens: (place, at, ids) => heard[place]?.splice(at, 0, ...ids) }),
  )
  expect(heard).toEqual(written.map(({ ids }) => ids))
})

describe('a long text', () => {
  it('ends when it is told to, and the next one need not wait for it', async () => {
    const ending = new AbortController()
    const long = model.runBatch([encode(endless)], {
      signal: ending.signal,
      onTokens: (_place, at) => at === 20 && ending.abort(),
    })
    const next = model.runBatch([encode({ max_new_tokens: 3 })])
    const [first] = await writtenOf(long)
    expect(first?.ending).toBe('ended')
    expect(first?.ids.length).toBeGreaterThan(20)
    expect((await writtenOf(next))[0]?.ids).toHaveLength(3)
  })

  it('that nobody waits for any more when its turn comes is not written', async () => {
    const ending = new AbortController()
    const slow = model.runBatch([encode({ max_new_tokens: 200, min_new_tokens: 200 })])
    const waiting = model.runBatch([encode(endless)], { signal: ending.signal })
    ending.abort()
    expect((await writtenOf(slow))[0]?.ids).toHaveLength(200)
    expect(await writtenOf(waiting)).toEqual([{ ending: 'ended', ids: [] }])
  })

  it('may take longer than a batch, for each token shows that it goes on', async () => {
    const [written] = await writtenOf(
      model.runBatch([encode({ ...endless, max_time_ms: 2 * batchTimeoutMs })]),
    )
    expect(written?.ending).toBe('time')
    expect(events.filter(({ type }) => type === 'process-exit')).toEqual([])
  })
})
