/** Entities on the tiny tagger, against transformers' TokenClassificationPipeline, through a real model process. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  type AggregationStrategy,
  aggregationStrategies,
  type Entity,
  type TaggedToken,
} from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { starterOptions } from '../load-fake-model.js'
import { type LoadedModel, loadModel } from '../load-model.js'
import { entitiesOf } from './entities.js'

type Found = (Entity | TaggedToken)[]
interface Reference {
  labels: string[]
  items: { text: string; truncate: boolean; entities: Record<AggregationStrategy, Found> }[]
}
const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const names = ['tiny-tagger', 'tiny-byte-tagger'] as const
const open = new Map<string, LoadedModel>()
const references = new Map<string, Reference>()
beforeAll(async () => {
  for (const name of names) {
    const dir = folder(name)
    references.set(name, JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')))
    open.set(name, await loadModel({ ...starterOptions, task: 'token-classification', dir, dtype: 'fp32' }))
  }
}, 30_000)
afterAll(() => Promise.all([...open.values()].map((model) => model.close({ force: true }))))

const opened = (name: string) => {
  const [model, reference] = [open.get(name), references.get(name)]
  if (!model || !reference) throw new Error(`${name} is not open`)
  return { model, ...reference }
}

const withoutScores = (found: Found) => found.map(({ score: _, ...rest }) => rest)
const scoresOf = (found: Found) => found.map(({ score }) => score)

describe.each(names)('%s, loaded', (name) => {
  it('says its labels and that it tells places', () => {
    const { model, labels } = opened(name)
    expect(model.facts).toMatchObject({
      task: 'token-classification',
      labels,
      places: true,
      max_tokens: 64,
      batching: { mode: 'batched' },
    })
  })

  it.each(aggregationStrategies)(
    'with %s gives the reference’s entities, all texts in one batch',
    async (strategy) => {
      const { model, items } = opened(name)
      const params = { aggregation_strategy: strategy }
      const inputs = items.map(({ text, truncate }) => ({ input: text, truncate, params }))
      const encoded = inputs.map((input) => model.encode(input))
      const { outcomes } = await model.runBatch(encoded)
      for (const [at, { text, entities }] of items.entries()) {
        const [outcome, item, input] = [outcomes[at], encoded[at], inputs[at]]
        if (!outcome?.ok || !item || !input) throw new Error('not computed')
        const result = model.resultOf(outcome.vector, item, input)
        const found = (result.kind === 'value' ? result.value : []) as Found
        expect(withoutScores(found), text).toEqual(withoutScores(entities[strategy]))
        for (const [i, score] of scoresOf(entities[strategy]).entries()) {
          expect(Math.abs((found[i]?.score ?? Number.NaN) - score)).toBeLessThan(1e-4)
        }
      }
    },
  )

  it('refuses a text that is too long, unless it may be cut', () => {
    const { model } = opened(name)
    const input = 'mill '.repeat(80)
    expect(() => model.encode({ input, truncate: false })).toThrow(/ tokens; this model takes at most 64/)
    expect(model.encode({ input, truncate: true }).ids).toHaveLength(64)
  })
})

describe('entities', () => {
  const rules = {
    text: 'ab',
    labels: ['O', 'PER', 'B-LOC', 'I-LOC'],
    marksPieces: true,
    join: (t: readonly string[]) => t.join(' '),
  }
  const token = (token: string, label: number) => ({
    index: 0,
    token,
    unknown: false,
    start: null,
    end: null,
    scores: Float32Array.from({ length: 4 }, (_, i) => (i === label ? 0.7 : 0.1)),
  })

  it('have no place where the tokenizer cannot tell it', () => {
    const found = entitiesOf([token('a', 1)], { ...rules, strategy: 'simple' })
    expect(found).toEqual([{ entity_group: 'PER', score: 0.7, word: 'a', start: null, end: null }])
  })

  it('end where another of the same kind begins', () => {
    const found = entitiesOf([token('a', 2), token('b', 3), token('c', 2), token('d', 0)], {
      ...rules,
      strategy: 'simple',
    })
    expect(found.map(({ word }) => word)).toEqual(['a b', 'c'])
  })
})
