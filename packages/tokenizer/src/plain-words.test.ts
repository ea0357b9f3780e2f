/** What is spared must not show: beside the library as it comes, on any text. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Tokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainIdsOf, spareWholeWords } from './plain-words.js'

const starter = new URL('../../../models/all-MiniLM-L6-v2/', import.meta.url)

async function jsonOf(name: string) {
  return JSON.parse(await readFile(fileURLToPath(new URL(name, starter)), 'utf8'))
}

/** The library's tokenizer as it comes, and what is spared it. */
async function both(change: Record<string, unknown>, settings: Record<string, unknown> = {}) {
  const file = await jsonOf('tokenizer.json')
  const config = { ...(await jsonOf('tokenizer_config.json')), ...settings }
  const changed = { ...file, ...change }
  const library = new Tokenizer(changed, config)
  const spared = new Tokenizer(changed, config)
  spareWholeWords(spared, changed)
  return {
    file,
    library,
    spared,
    plainIds: plainIdsOf(spared, changed),
    words: Object.keys(file.model.vocab),
  }
}
const idsOf = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text, { add_special_tokens: false }).ids

describe('a BERT tokenizer that is spared plain words', () => {
  it.each([
    {},
    { lowercase: false },
    { lowercase: false, strip_accents: true },
    { strip_accents: false },
    { clean_text: false },
    { handle_chinese_chars: false },
  ])('gives the ids of the library for any text: %j', async (change) => {
    const { normalizer } = await jsonOf('tokenizer.json')
    const { library, spared, plainIds, words } = await both({ normalizer: { ...normalizer, ...change } })
    const piece = fc.oneof(
      fc.constantFrom(...words),
      fc.string({ unit: fc.constantFrom(..."aZ é中\t\n\u0000\u00ad\u0301-'.#~^`0") }),
      fc.string({ unit: 'binary-ascii' }),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('x'.repeat(99), 'x'.repeat(100), 'x'.repeat(101), '[CLS]', '[UNK]', ' [MASK]', '[cls]'),
    )
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(' '))
    let plain = 0
    fc.assert(
      fc.property(text, (text) => {
        const ids = idsOf(library, text)
        expect(idsOf(spared, text)).toEqual(ids)
        const known = plainIds?.(text)
        if (known) plain += 1
        expect(known ?? ids).toEqual(ids)
      }),
      { numRuns: 400 },
    )
    expect(plain).toBeGreaterThan(40)
  })

  it('knows the ids of printable ASCII, also of words that the vocabulary has only in pieces', async () => {
    const { library, plainIds } = await both({})
    expect(plainIds?.('Hello, world!')).toEqual([7592, 1010, 2088, 999])
    expect(plainIds?.('')).toEqual([])
    const long = `unaffordably ${'x'.repeat(101)} 3.14`
    expect(plainIds?.(long)).toEqual(idsOf(library, long))
    expect(plainIds?.('Héllo')).toBeUndefined()
    expect(plainIds?.('a\nb')).toBeUndefined()
  })

  it('leaves to the library what has an added token, whatever its case', async () => {
    const { file } = await both({})
    const added = { id: 30522, content: 'Hello', normalized: true, special: false }
    const { library, plainIds } = await both({ added_tokens: [...file.added_tokens, added] })
    for (const text of ['say Hello', 'say hello', '[SEP]']) expect(plainIds?.(text)).toBeUndefined()
    expect(plainIds?.('say good bye')).toEqual(idsOf(library, 'say good bye'))
  })

  it('leaves alone what is not BERT in every step', async () => {
    const { plainIds, spared } = await both({ pre_tokenizer: { type: 'Whitespace' } })
    expect(plainIds).toBeUndefined()
    expect((await both({ normalizer: null })).plainIds).toBeUndefined()
    expect((await both({}, { do_lowercase_and_remove_accent: true })).plainIds).toBeUndefined()
    expect((await both({}, { remove_space: true })).plainIds).toBeUndefined()
    const { encode } = spared.model as unknown as { encode: unknown }
    spareWholeWords(spared, { normalizer: null, pre_tokenizer: null, model: { type: 'BPE' } })
    expect((spared.model as unknown as { encode: unknown }).encode).toBe(encode)
  })
})
