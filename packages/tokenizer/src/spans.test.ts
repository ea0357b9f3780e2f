/** Places of tokens: those of the Python tokenizers on the fixture, and sound on any text. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { loadTextTokenizer } from './text-tokenizer.js'

const dir = fileURLToPath(new URL('../../../models/fixtures/tiny-tagger', import.meta.url))
interface Reference {
  items: {
    text: string
    truncate: boolean
    input_ids: number[]
    offsets: [number, number][]
    words: (number | null)[]
  }[]
}
const referenceOf = async (folder: string) =>
  JSON.parse(await readFile(join(folder, 'reference.json'), 'utf8')) as Reference
const byteDir = fileURLToPath(new URL('../../../models/fixtures/tiny-byte-tagger', import.meta.url))
const byteTokenizer = await loadTextTokenizer(byteDir, 'token-classification')
const tokenizer = await loadTextTokenizer(dir, 'token-classification')
const spansOf = (text: string, of = tokenizer) => {
  const spans = of.pieces.spansOf?.(text)
  if (spans === undefined) throw new Error(`no places in ${JSON.stringify(text)}`)
  return spans
}

/** What the fixture's tokenizer makes of a character: small letters without accents, control characters left out. */
const normalized = (text: string) =>
  text
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\p{Mn}\p{Cc}\p{Cf}\p{Co}\ufffd]/gu, '')
    .replaceAll('ς', 'σ')

async function changedTokenizer(change: (json: Record<string, unknown>) => object) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-spans-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await cp(dir, folder, { recursive: true })
  const file = join(folder, 'tokenizer.json')
  const json = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...json, ...change(json) }))
  return loadTextTokenizer(folder, 'token-classification')
}

describe('places of tokens', () => {
  it.each([
    ['word pieces', dir, tokenizer],
    ['byte-level tokens', byteDir, byteTokenizer],
  ])('and their words are the reference’s, of %s', async (_name, folder, of) => {
    for (const { text, input_ids, offsets, words, truncate } of (await referenceOf(folder)).items) {
      const spans = spansOf(text, of)
      const end = truncate ? input_ids.length - 2 : spans.ids.length
      expect(spans.ids.slice(0, end), text).toEqual(input_ids.slice(1, -1))
      expect(
        spans.starts.slice(0, end).map((start, i) => [start, spans.ends[i]]),
        text,
      ).toEqual(offsets.slice(1, -1))
      expect(spans.words.slice(0, end), text).toEqual(words.slice(1, -1))
    }
  })

  it('hold the token itself, in order, and the ids are those of the library, for any text', () => {
    const unit = fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(...'the mill river wheel ,.!?-'.split(''), ' mill ', '##s') },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          'ä',
          'e\u0301',
          'İ',
          'Σ ',
          'ß',
          '日',
          '한',
          '🙂',
          '\u200b',
          '\t',
          '[SEP]',
          '[UNK]',
          'ﬁ',
        ),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 3 }) },
    )
    const text = fc.array(unit, { maxLength: 40 }).map((units) => units.join(''))
    fc.assert(
      fc.property(text, (one) => {
        const { ids, tokens, starts, ends } = spansOf(one)
        const { ids: whole } = tokenizer.encode(one, { truncate: true })
        expect(ids.slice(0, 62)).toEqual([...whole.subarray(1, -1)])
        const characters = [...one]
        for (const [i, token] of tokens.entries()) {
          expect(starts[i]).toBeGreaterThanOrEqual(starts[i - 1] ?? 0)
          expect(ends[i]).toBeLessThanOrEqual(characters.length)
          if (token === '[UNK]') continue
          const written = characters.slice(starts[i], ends[i]).join('')
          const special = ['[SEP]'].includes(written)
          expect(special ? written : normalized(written)).toContain(
            special ? token : token.replace(/^##(?=.)/, ''),
          )
        }
      }),
      { numRuns: 300 },
    )
  })

  it('of byte-level tokens hold their letters, and the ids are those of the library, for any text', () => {
    const unit = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          ' the',
          'mill ',
          ' ',
          '  ',
          '\n',
          '\t',
          "'s",
          'ü',
          'e\u0301',
          '🙂',
          '日',
          '</s>',
        ),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 3 }) },
    )
    const text = fc.array(unit, { maxLength: 30 }).map((units) => units.join(''))
    fc.assert(
      fc.property(text, (one) => {
        const { ids, starts, ends } = spansOf(one, byteTokenizer)
        const { ids: whole } = byteTokenizer.encode(one, { truncate: true })
        expect(ids.slice(0, 62)).toEqual([...whole.subarray(1, -1)])
        const characters = [...one]
        for (const [i, id] of ids.entries()) {
          const letters = byteTokenizer.decode([id], { special: true })
          // Part of a character, of several bytes.
          if (letters.includes('\ufffd')) continue
          expect(characters.slice(starts[i], ends[i]).join('')).toBe(letters.replace(/^ +| +$/g, ''))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('of Greek, where JavaScript and the reference write the last letter of a word otherwise, stay in place', () => {
    expect(spansOf('ΟΔΟΣ the ΟΔΟΣ').ends.at(-1)).toBe(13)
  })

  it('are found for cased word pieces, too', async () => {
    const cased = await changedTokenizer(({ normalizer }) => ({
      normalizer: { ...(normalizer as object), lowercase: false, strip_accents: null },
    }))
    const spans = cased.pieces.spansOf?.('the Mill the')
    expect(spans?.starts).toEqual([0, 4, 9])
  })

  it('are not told for tokenizers of another kind', async () => {
    const others: object[] = [
      { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true } },
      { normalizer: { type: 'Prepend', prepend: '▁' } },
    ]
    for (const change of others) {
      const other = await changedTokenizer(() => change)
      expect(other.pieces).not.toHaveProperty('spansOf')
    }
  })

  it('cost nothing where a task needs none', async () => {
    expect((await loadTextTokenizer(dir, 'text-classification')).pieces).not.toHaveProperty('spansOf')
  })
})
