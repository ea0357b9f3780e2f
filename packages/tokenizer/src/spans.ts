/**
 * Where in a text each of its tokens stands, as the Python tokenizers' `offset_mapping` and `word_ids` say it: our
 * library gives tokens without their places, so its steps are taken one by one here. Known for tokenizers of word pieces
 * (WordPiece) whose normalizer looks at one character at a time, and for byte-level BPE that takes a text as it is; for the
 * others there is no finder, never a wrong place.
 */
import type { Tokenizer } from '@huggingface/tokenizers'
import type { TokenizerFiles } from './tokenizer-files.js'

/** The tokens of a text, special ones not added. Places count Unicode code points, as Python does. */
export interface TokenSpans {
  readonly ids: readonly number[]
  /** As the vocabulary writes them. */
  readonly tokens: readonly string[]
  readonly starts: readonly number[]
  /** Behind the last character of each. */
  readonly ends: readonly number[]
  /** Which word a token belongs to. */
  readonly words: readonly number[]
}

/** @returns undefined for a text that normalizes as a whole to something else than its characters do */
export type SpanFinder = (text: string) => TokenSpans | undefined

const byCharacter = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD']
const bySubstring = ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit']

/** How the words of what lies between added tokens are told: the piece of each, and where it was made from. */
interface Words {
  /** @returns undefined where it cannot be told */
  of(section: string): Word[] | undefined
}

interface Word {
  /** Each with how many units of `traced` it takes. */
  readonly tokens: readonly (readonly [string, number])[]
  readonly traced: Traced
  /** The unit at which it begins. */
  readonly from: number
}

/** @returns undefined for a tokenizer whose tokens' places cannot be told */
export function spanFinder(
  tokenizer: Tokenizer,
  files: Pick<TokenizerFiles, 'tokenizer' | 'tokenizerConfig'>,
): SpanFinder | undefined {
  const { tokenizer: file, tokenizerConfig } = files
  // Both change the text before the normalizer does.
  if (tokenizerConfig.remove_space === true || tokenizerConfig.do_lowercase_and_remove_accent === true) {
    return undefined
  }
  if (file.added_tokens.some(({ normalized }) => normalized === true)) return undefined
  const added = file.added_tokens.map(({ content }) => content).filter((content) => content !== '')
  const words = pieceWords(tokenizer, file) ?? byteWords(tokenizer, file)
  if (words === undefined) return undefined
  const trims = trimsSpaces(file)
  const idOf = (token: string) => tokenizer.token_to_id(token) ?? tokenizer.model?.unk_token_id ?? 0

  return (text) => {
    const found: Found = { ids: [], tokens: [], starts: [], ends: [], words: [] }
    let at = 0
    let word = 0
    const push = (token: string, start: number, end: number) => {
      const spaces = trims ? spacesOf(token) : { leading: 0, trailing: 0 }
      const from = Math.min(start + spaces.leading, end)
      found.ids.push(idOf(token))
      found.tokens.push(token)
      found.starts.push(from)
      found.ends.push(Math.max(end - spaces.trailing, from))
      found.words.push(word)
    }
    for (const section of splitBy(added, text)) {
      const length = codePoints(section)
      if (added.includes(section)) {
        push(section, at, at + length)
        word += 1
      } else {
        const told = words.of(section)
        if (told === undefined) return undefined
        for (const { tokens, traced, from } of told) {
          let unit = from
          for (const [token, size] of tokens) {
            push(token, at + (traced.starts[unit] ?? 0), at + (traced.ends[unit + size - 1] ?? 0))
            unit += size
          }
          word += 1
        }
      }
      at += length
    }
    return found
  }
}

/** Word pieces of a text that is normalized first. */
function pieceWords(tokenizer: Tokenizer, file: TokenizerFiles['tokenizer']): Words | undefined {
  const { normalizer, pre_tokenizer: preTokenizer, model } = tokenizer
  const prefix = file.model.continuing_subword_prefix
  if (model === null || preTokenizer === null || typeof prefix !== 'string') return undefined
  if (file.model.type !== 'WordPiece') return undefined
  if (!bySubstring.includes(String(file.pre_tokenizer?.type)) || !isByCharacter(file.normalizer))
    return undefined
  const normalize = (text: string) => normalizer?.normalize(text) ?? text
  const normalizeOften = remembered(normalize)
  return {
    of: (section) => {
      const normal = traced(section, normalize, normalizeOften)
      if (normal === undefined) return undefined
      const words: Word[] = []
      let cursor = 0
      for (const piece of preTokenizer.pre_tokenize(normal.text)) {
        const from = normal.text.indexOf(piece, cursor)
        if (from < 0) return undefined
        cursor = from + piece.length
        words.push({ tokens: sized(model.encode([piece]), piece, prefix), traced: normal, from })
      }
      return words
    },
  }
}

/** Rows of bytes, each written as one letter, of a text that is taken as it is: GPT-2's and RoBERTa's way. */
function byteWords(tokenizer: Tokenizer, file: TokenizerFiles['tokenizer']): Words | undefined {
  const { pre_tokenizer: preTokenizer, model } = tokenizer
  if (model === null || preTokenizer === null || file.normalizer !== null) return undefined
  const plain = file.pre_tokenizer?.type === 'ByteLevel' && file.pre_tokenizer.add_prefix_space !== true
  const last = file.post_processor
  // What it then does to the first place depends on a space that was or was not put before the text.
  if (trimsSpaces(file) && last?.add_prefix_space !== false) return undefined
  if (file.model.type !== 'BPE' || !plain || file.model.continuing_subword_prefix) return undefined
  return {
    of: (section) => {
      const bytes = tracedBytes(section)
      const words: Word[] = []
      let from = 0
      for (const word of preTokenizer.pre_tokenize(section)) {
        const tokens = model.encode([word])
        if (tokens.join('') !== word) return undefined
        words.push({
          tokens: tokens.map((token: string): [string, number] => [token, token.length]),
          traced: bytes,
          from,
        })
        from += word.length
      }
      return from === bytes.starts.length ? words : undefined
    },
  }
}

type Found = { [K in keyof TokenSpans]: TokenSpans[K][number][] }

function isByCharacter(normalizer: TokenizerFiles['tokenizer']['normalizer']): boolean {
  if (normalizer === null) return true
  if (normalizer.type !== 'Sequence') return byCharacter.includes(String(normalizer.type))
  return Array.isArray(normalizer.normalizers) && normalizer.normalizers.every(isByCharacter)
}

/** How many UTF-16 units of a word each of its tokens takes: a word that is no row of pieces is one unknown token. */
function sized(tokens: string[], word: string, prefix: string): [string, number][] {
  const sizes = tokens.map((token, i): [string, number] => [
    token,
    token.length - (i > 0 ? prefix.length : 0),
  ])
  const [only] = tokens
  return tokens.length === 1 && only !== undefined ? [[only, word.length]] : sizes
}

/** A text as the tokens that stand in it literally, the longest first where several begin, and what is between. */
function splitBy(added: readonly string[], text: string): string[] {
  if (added.length === 0) return text === '' ? [] : [text]
  const longestFirst = added.toSorted((a, b) => b.length - a.length)
  const pattern = longestFirst.map((content) => content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')
  return text.split(new RegExp(`(${pattern})`)).filter((section) => section !== '')
}

interface Traced {
  readonly text: string
  /** By UTF-16 unit of `text`: the code points of the original that it was made from. */
  readonly starts: number[]
  readonly ends: number[]
}

/** By byte of its UTF-8 form: the code point that it belongs to. */
function tracedBytes(section: string): Traced {
  const starts: number[] = []
  const ends: number[] = []
  let at = 0
  for (const character of section) {
    for (let byte = Buffer.byteLength(character); byte > 0; byte--) {
      starts.push(at)
      ends.push(at + 1)
    }
    at += 1
  }
  return { text: section, starts, ends }
}

/** Whether spaces at a byte-level token's ends are no part of its place (huggingface/tokenizers, process_offsets). */
function trimsSpaces({ model, post_processor: last }: TokenizerFiles['tokenizer']): boolean {
  const kinds = ['RobertaProcessing', 'ByteLevel']
  return model.type === 'BPE' && kinds.includes(String(last?.type)) && last?.trim_offsets === true
}

/** How a byte-level token writes a space. */
const space = '\u0120'

function spacesOf(token: string): { leading: number; trailing: number } {
  const isSpace = (letter: string | undefined) => letter === space || /^\s$/.test(letter ?? '')
  let leading = 0
  while (leading < token.length && isSpace(token[leading])) leading += 1
  let trailing = 0
  while (trailing < token.length && isSpace(token[token.length - 1 - trailing])) trailing += 1
  return { leading, trailing }
}

/** Characters are normalized one by one, or together with the marks on them where that makes a difference. */
function traced(
  section: string,
  normalize: (text: string) => string,
  normalizeOften: (text: string) => string,
): Traced | undefined {
  const starts: number[] = []
  const ends: number[] = []
  let text = ''
  let at = 0
  for (const [cluster] of section.matchAll(/\P{M}\p{M}*|\p{M}+/gu)) {
    const characters = [...cluster]
    const together = normalizeOften(cluster)
    const alone = characters.map(normalizeOften)
    const apart = alone.join('') === together
    for (const [i, piece] of (apart ? alone : [together]).entries()) {
      for (let unit = 0; unit < piece.length; unit++) {
        starts.push(apart ? at + i : at)
        ends.push(at + (apart ? i + 1 : characters.length))
      }
    }
    text += together
    at += characters.length
  }
  const whole = normalize(section)
  // The one letter whose small form depends on its place: at the end of a word JavaScript writes another one.
  const same = whole === text || whole.replaceAll('ς', 'σ') === text.replaceAll('ς', 'σ')
  return same ? { text: whole, starts, ends } : undefined
}

/** Few characters make up most texts. */
function remembered(normalize: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    const made = normalize(text)
    if (text.length <= 2 && known.size < 4096) known.set(text, made)
    return made
  }
}

function codePoints(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}
