/** Generation with the tiny models, against the texts that the Python reference wrote. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { GenerationTask, Params } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EncodedItem, Engine, EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { readWritten } from '../generation/written-tokens.js'
import { openTask } from '../tasks/index.js'
import { createEngine } from './generation.js'

interface Reference {
  items: { text: string; params: Params; input_ids: number[]; output_ids: number[]; finish_reason: string }[]
}

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const referenceOf = (name: string): Reference =>
  JSON.parse(readFileSync(`${folder(name)}/reference.json`, 'utf8'))

async function specOf(name: string, task: GenerationTask): Promise<EngineSpec> {
  const { output, tokenizer } = await openTask(folder(name), task)
  const padTokenId = tokenizer?.padTokenId ?? 0
  return {
    dir: folder(name),
    dtype: 'fp32',
    task,
    output,
    padTokenId,
    device: 'cpu',
    threads: 1,
    options: {},
  }
}

const writer = await specOf('tiny-writer', 'text-generation')
const rewriter = await specOf('tiny-rewriter', 'text2text-generation')

for (const [name, spec, maxTokens, vocabulary] of [
  ['a decoder', writer, 88, 330],
  ['an encoder and a decoder', rewriter, 64, 65],
] as const) {
  const extra = { params: { max_new_tokens: 6 } }
  engineConformance(name, { createEngine, spec, maxTokens, vocabulary, tolerance: 0, extra })
}

describe.each([
  ['tiny-writer', writer],
  ['tiny-rewriter', rewriter],
] as const)('%s', (name, spec) => {
  let engine: Engine
  beforeAll(async () => {
    engine = createEngine(spec)
    expect(await engine.load()).toEqual({ dimensions: 0, oneAtATime: true })
  })
  afterAll(() => engine.close())
  const { items } = referenceOf(name)
  const itemOf = ({ input_ids, params }: Reference['items'][number]): EncodedItem => ({
    ids: Int32Array.from(input_ids),
    extra: { params },
  })

  it.each(items.map((item) => [JSON.stringify(item.params), item.text, item] as const))(
    'with %s writes the reference’s tokens after %j',
    async (_params, _text, item) => {
      const [output = new Float32Array()] = await engine.run([itemOf(item)])
      expect(readWritten(output)).toEqual({ ending: item.finish_reason, ids: item.output_ids })
    },
  )

  it('tells each token as it is written, of the item and at the place where it belongs', async () => {
    const [first, second] = items
    if (first === undefined || second === undefined) throw new Error('the reference has too few items')
    const heard: [number, number, number][] = []
    await engine.run([itemOf(first), itemOf(second)], {
      onTokens: (place, at, ids) => heard.push(...ids.map((id): [number, number, number] => [place, at, id])),
    })
    const expected = [first, second].flatMap(({ output_ids }, place) =>
      output_ids.map((id, at) => [place, at, id]),
    )
    expect(heard).toEqual(expected)
  })

  it('ends within a step when it is told to, with what it has', async () => {
    const [item] = items
    if (item === undefined) throw new Error('the reference is empty')
    const ending = new AbortController()
    const hooks = {
      signal: ending.signal,
      onTokens: (_place: number, at: number) => {
        if (at === 2) ending.abort()
      },
    }
    const [output = new Float32Array()] = await engine.run([itemOf(item)], hooks)
    expect(readWritten(output)).toEqual({ ending: 'ended', ids: item.output_ids.slice(0, 3) })
    const [none = new Float32Array()] = await engine.run([itemOf(item)], hooks)
    expect(readWritten(none)).toEqual({ ending: 'ended', ids: [] })
  })

  it('ends when its time is over, with one token at least', async () => {
    const [item] = items
    if (item === undefined) throw new Error('the reference is empty')
    const params = { ...item.params, max_time_ms: 0.001 }
    const [output = new Float32Array()] = await engine.run([itemOf({ ...item, params })])
    expect(readWritten(output)).toEqual({ ending: 'time', ids: item.output_ids.slice(0, 1) })
  })

  it('draws the same text from the same seed, and others from others', async () => {
    const [item] = items
    if (item === undefined) throw new Error('the reference is empty')
    const drawn = async (seed: number) => {
      const params = { max_new_tokens: 16, do_sample: true, temperature: 30, seed }
      const [output = new Float32Array()] = await engine.run([itemOf({ ...item, params })])
      return readWritten(output).ids
    }
    const seeds = [1, 2, 3, 4]
    const texts = await Promise.all(seeds.map(drawn))
    expect(await Promise.all(seeds.map(drawn))).toEqual(texts)
    expect(new Set(texts.map(String)).size).toBeGreaterThan(2)
  })

  it('never writes past what the model can hold', async () => {
    const [item] = items
    if (item === undefined || spec.output.kind !== 'generated') throw new Error('no such rule')
    const { context, startId } = spec.output
    const params = { max_new_tokens: 1000, min_new_tokens: 1000 }
    const [output = new Float32Array()] = await engine.run([itemOf({ ...item, params })])
    const prompt = startId === null ? item.input_ids.length : 1
    const { ending, ids } = readWritten(output)
    expect({ ending, tokens: ids.length }).toEqual({ ending: 'length', tokens: context - prompt })
  })

  it('holds no memory of what it has written', { timeout: 60_000 }, async () => {
    const [item] = items
    if (item === undefined) throw new Error('the reference is empty')
    const params = { max_new_tokens: 40, min_new_tokens: 40 }
    const write = async (times: number) => {
      for (let i = 0; i < times; i++) await engine.run([itemOf({ ...item, params })])
      globalThis.gc?.()
      return process.memoryUsage().rss
    }
    await write(10)
    const before = await write(5)
    // 1200 steps; the keys and values of all of them would be 25 MB, their buffers' overhead more.
    expect((await write(30)) - before).toBeLessThan(20 << 20)
  })
})
