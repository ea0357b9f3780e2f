/** Candidates as texts, on the tiny fill-mask model, against the Python reference. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Candidate } from '@millrace/contracts'
import { loadTextTokenizer } from '@millrace/tokenizer'
import { expect, test } from 'vitest'
import { candidatesOf } from './written-candidates.js'

const dir = fileURLToPath(new URL('../../../../models/fixtures/tiny-filler', import.meta.url))
const tokenizer = await loadTextTokenizer(dir, 'fill-mask')
const { items } = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as {
  items: { input_ids: number[]; candidates: Candidate[] }[]
}

test('scored tokens become the reference’s candidates, in their order', () => {
  for (const { input_ids, candidates } of items) {
    const scored = candidates.map(({ token, score }) => ({ token, score: Math.fround(score) }))
    const found = candidatesOf(scored, Int32Array.from(input_ids), tokenizer)
    expect(found.map(({ score: _, ...words }) => words)).toEqual(
      candidates.map(({ score: _, ...words }) => words),
    )
    expect(found.map(({ score }) => Math.fround(score))).toEqual(scored.map(({ score }) => score))
  }
})

test('a special token that wins is named, and stands in no sequence', () => {
  const ids = tokenizer.encode('the [MASK] mill', { truncate: false }).ids
  const [unknown] = candidatesOf([{ token: 1, score: 0.5 }], ids, tokenizer)
  expect(unknown).toEqual({ score: 0.5, token: 1, token_str: '[UNK]', sequence: 'the mill' })
})
