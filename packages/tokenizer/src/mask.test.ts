/** Inputs of a fill-mask model: exactly one mask, ids and texts as the Python reference has them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { MillraceError } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { masksFault } from './mask.js'
import { loadTextTokenizer } from './text-tokenizer.js'

const dir = fileURLToPath(new URL('../../../models/fixtures/tiny-filler', import.meta.url))
const { items } = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as {
  items: {
    text: string
    truncate: boolean
    input_ids: number[]
    candidates: { token: number; token_str: string; sequence: string }[]
  }[]
}
const tokenizer = await loadTextTokenizer(dir, 'fill-mask')
const mask = tokenizer.mask ?? { id: -1, text: '', verbatim: false }

const refusal = (text: string, truncate = false) => {
  try {
    tokenizer.encode(text, { truncate })
    return undefined
  } catch (error) {
    const { code, message } = error as MillraceError
    return `${code}: ${message}`
  }
}

describe('a fill-mask tokenizer', () => {
  it('gives the reference’s ids', () => {
    for (const { text, truncate, input_ids } of items) {
      expect([...tokenizer.encode(text, { truncate }).ids]).toEqual(input_ids)
    }
  })

  it('decodes filled texts and single tokens as the reference does', () => {
    for (const { input_ids, candidates } of items) {
      for (const { token, token_str, sequence } of candidates) {
        const filled = input_ids.map((id) => (id === mask.id ? token : id))
        expect(tokenizer.decode(filled, { special: false })).toBe(sequence)
        expect(tokenizer.decode([token], { special: true })).toBe(token_str)
      }
    }
  })

  it('refuses a text without exactly one mask, also where truncation cut it off', () => {
    expect(refusal('the mill')).toBe(
      'invalid_input: no [MASK]; this model takes exactly one, within its length',
    )
    expect(refusal('[MASK] the [MASK]')).toMatch(/^invalid_input: 2 \[MASK\]/)
    expect(refusal(`${'mill '.repeat(80)}[MASK]`, true)).toMatch(/^invalid_input: no/)
    expect(refusal(`${'mill '.repeat(80)}[MASK]`)).toMatch(/^input_too_long/)
    expect(refusal('the [MASK].')).toBeUndefined()
  })

  it('has no mask for another task, and takes texts without one', async () => {
    const other = await loadTextTokenizer(dir, 'text-classification')
    expect(other).not.toHaveProperty('mask')
    expect(other.encode('the mill', { truncate: false }).ids.length).toBe(4)
  })
})

describe('masks counted without a tokenizer', () => {
  it('are those that the tokenizer finds', () => {
    expect(mask).toMatchObject({ text: '[MASK]', verbatim: true })
    for (const text of [
      '',
      'the mill',
      '[MASK]',
      'a[MASK]b',
      '[MASK][MASK]',
      '[mask]',
      '[[MASK]] [ MASK ]',
    ]) {
      expect(masksFault(text, mask) === undefined).toBe(refusal(text) === undefined)
    }
  })

  it('are not judged where a tokenizer may find them written otherwise', () => {
    expect(masksFault('the mill', { ...mask, verbatim: false })).toBeUndefined()
  })
})
