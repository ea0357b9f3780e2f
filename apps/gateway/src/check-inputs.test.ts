import { MillraceError } from '@millrace/contracts'
import { describe, expect, test } from 'vitest'
import { checkInputs, type InputsToCheck } from './check-inputs.js'

const limits = { maxItems: 4, maxChars: 100 }
const tokenizer = {
  maxTokens: 12,
  padTokenId: 0,
  encode: () => ({ ids: new Int32Array() }),
  decode: () => '',
  count: (text: string) => text.split(' ').length + 2,
}

async function faults(inputs: readonly string[], given: Partial<InputsToCheck> = {}, within = limits) {
  try {
    await checkInputs({ inputs, single: false, truncate: false, tokenizer, ...given }, within)
    return []
  } catch (error) {
    if (error instanceof MillraceError) return error.errors.map(({ code, path }) => `${code} ${path}`)
    throw error
  }
}

const words = (count: number) => Array.from({ length: count }, () => 'w').join(' ')

describe('refused, each with its own code and path', () => {
  test('no inputs, an empty one, too many', async () => {
    expect(await faults([])).toEqual(['empty_input inputs'])
    expect(await faults([''], { single: true })).toEqual(['empty_input input'])
    expect(await faults(['a', 'b', 'c', 'd', 'e'])).toEqual(['too_many_items inputs'])
  })

  test('too many characters, with and without truncate', async () => {
    for (const truncate of [false, true]) {
      expect(await faults(['a', 'x'.repeat(101)], { truncate })).toEqual(['input_too_long inputs[1]'])
    }
  })

  test('half of a surrogate pair', async () => {
    expect(await faults(['ok', '\ud800', 'a\udc00b'])).toEqual([
      'invalid_input inputs[1]',
      'invalid_input inputs[2]',
    ])
  })

  test('too many tokens for the model', async () => {
    expect(await faults([words(10), words(11)])).toEqual(['input_too_long inputs[1]'])
  })

  test('all faulty items together, at most 32', async () => {
    expect(await faults(['', 'fine', '\ud800', words(11)])).toEqual([
      'empty_input inputs[0]',
      'invalid_input inputs[2]',
      'input_too_long inputs[3]',
    ])
    expect(await faults(Array<string>(50).fill(''), {}, { maxItems: 100, maxChars: 10 })).toHaveLength(32)
  })
})

describe('taken', () => {
  test('white space, whole surrogate pairs, exactly as many items and characters as allowed', async () => {
    expect(await faults([' ', '\n', '😀', 'x'.repeat(100)])).toEqual([])
  })

  test('too many tokens where truncation is asked for, or where the model’s files are not here', async () => {
    expect(await faults([words(40)], { truncate: true })).toEqual([])
    expect(await faults([words(40)], { tokenizer: undefined })).toEqual([])
  })

  test('a text too short to have too many tokens is not tokenized', async () => {
    const count = () => {
      throw new Error('it was tokenized')
    }
    expect(await faults(['x'.repeat(10)], { tokenizer: { ...tokenizer, count } })).toEqual([])
  })
})
