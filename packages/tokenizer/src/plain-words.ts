/**
 * Spares a BERT tokenizer the work that plain English text does not need. The library normalizes a text character by
 * character, looks at each place for added tokens, and looks a word up by cutting it shorter and shorter, also where the text is
 * ASCII and the word is in the vocabulary as it stands. Ids stay the same.
 */
import type { Tokenizer } from '@huggingface/tokenizers'
import type { TokenizerFiles } from './tokenizer-files.js'

type Files = Pick<TokenizerFiles['tokenizer'], 'normalizer' | 'pre_tokenizer' | 'model'>

/** No control characters, white space but spaces, accents, or Chinese characters: only the case can change. */
const printableAscii = /^[ -~]*$/
/** As BertPreTokenizer cuts them: in ASCII all that is neither letter nor digit is punctuation. */
const asciiWords = /[0-9A-Za-z]+|[!-~]/g

/** What the declarations of the library leave out of a tokenizer with a WordPiece model. */
interface WordPieceTokenizer {
  remove_space?: boolean
  do_lowercase_and_remove_accent?: boolean
  added_tokens_map: ReadonlyMap<string, { id: number }>
  model: {
    tokens_to_ids: ReadonlyMap<string, number>
    unk_token_id: number
    max_input_chars_per_word: number
    fuse_unk?: boolean
    encode(words: string[]): string[]
  }
}

/** The ids of a text without special tokens; undefined where only the library knows them. */
export type PlainIds = (text: string) => number[] | undefined

/** @returns undefined for a tokenizer that is not BERT's in every step: the library then does all of the work */
export function plainIdsOf(tokenizer: Tokenizer, files: Files): PlainIds | undefined {
  const steps = [files.normalizer?.type, files.pre_tokenizer?.type, files.model.type]
  if (steps.join(' ') !== 'BertNormalizer BertPreTokenizer WordPiece') return undefined
  const { model, added_tokens_map: addedTokens, ...other } = tokenizer as unknown as WordPieceTokenizer
  if (other.remove_space || other.do_lowercase_and_remove_accent || model.fuse_unk) return undefined
  const { tokens_to_ids: vocabulary, unk_token_id: unknown } = model
  const lowercase = Boolean(files.normalizer?.lowercase)
  const added = [...addedTokens.keys()]
  const idOf = (token: string) => addedTokens.get(token)?.id ?? vocabulary.get(token) ?? unknown
  return (text) => {
    if (!printableAscii.test(text)) return undefined
    const plain = lowercase ? text.toLowerCase() : text
    if (added.some((token) => text.includes(token) || plain.includes(token))) return undefined
    return model.encode(plain.match(asciiWords) ?? []).map(idOf)
  }
}

/** The longest piece that a word begins with is taken first: of a word that the vocabulary has, the word itself. */
export function spareWholeWords(tokenizer: Tokenizer, files: Files): void {
  if (files.model.type !== 'WordPiece') return
  const { model } = tokenizer as unknown as WordPieceTokenizer
  const inPieces = model.encode.bind(model)
  const { tokens_to_ids: vocabulary, max_input_chars_per_word: longest } = model
  model.encode = (words) => {
    const tokens: string[] = []
    for (const word of words) {
      if (word.length <= longest && vocabulary.has(word)) tokens.push(word)
      else tokens.push(...inPieces([word]))
    }
    return tokens
  }
}
