/** What is spared must not show: beside the library as it comes, on any text. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Tokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sparePlainWords } from './plain-words.js'

const starter = new URL('../../../models/all-MiniLM-L6-v2/', import.meta.url)

async function jsonOf(name: string) {
  return JSON.parse(await readFile(fileURLToPath(new URL(name, starter)), 'utf8'))
}

/** The library's tokenizer as it comes, and one that was told. */
async function both(normalizer: Record<string, unknown>) {
  const file = await jsonOf('tokenizer.json')
  const config = await jsonOf('tokenizer_config.json')
  const changed = { ...file, normalizer: { ...file.normalizer, ...normalizer } }
  const spared = new Tokenizer(changed, config)
  sparePlainWords(spared, changed)
  return { asItComes: new Tokenizer(changed, config), spared, words: Object.keys(file.model.vocab) }
}

describe('a BERT tokenizer that spares plain words', () => {
  it.each([
    {},
    { lowercase: false },
    { lowercase: false, strip_accents: true },
    { strip_accents: false },
    { clean_text: false },
    { handle_chinese_chars: false },
  ])('gives the tokens of the library for any text: %j', async (normalizer) => {
    const { asItComes, spared, words } = await both(normalizer)
    const piece = fc.oneof(
      fc.constantFrom(...words),
      fc.string({ unit: fc.constantFrom(..."aZ é中\t\n\u0000\u00ad\u0301-'.#~^`0") }),
      fc.string({ unit: 'binary-ascii' }),
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('x'.repeat(99), 'x'.repeat(100), 'x'.repeat(101), '[CLS]', '[UNK]', ' [MASK]'),
    )
    const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(' '))
    fc.assert(
      fc.property(text, (text) => {
        expect(spared.encode(text)).toEqual(asItComes.encode(text))
      }),
      { numRuns: 400 },
    )
  })

  it('asks the library for nothing where all words are plain', async () => {
    const { spared } = await both({})
    const slow = () => {
      throw new Error('asked')
    }
    Object.assign(spared.normalizer as object, { clean_text: slow })
    expect(spared.encode('Hello, world!').ids).toEqual([101, 7592, 1010, 2088, 999, 102])
    expect(() => spared.encode('Héllo')).toThrow('asked')
  })

  it('leaves what is no WordPiece alone', async () => {
    const { spared } = await both({})
    const { encode } = spared.model as unknown as { encode: unknown }
    sparePlainWords(spared, { normalizer: null, model: { type: 'BPE' } })
    expect((spared.model as unknown as { encode: unknown }).encode).toBe(encode)
  })
})
