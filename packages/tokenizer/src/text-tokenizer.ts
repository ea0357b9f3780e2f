/**
 * Text to token ids, exactly as the reference library of the task would make them, cut only where asked. Pure JS and
 * small, so that the gateway can count tokens too. Knows nothing of models or batches.
 */
import { Tokenizer } from '@huggingface/tokenizers'
import { MillraceError, type Task } from '@millrace/contracts'
import { byteLevelText } from './byte-level.js'
import { chatTemplateOf } from './chat-template.js'
import { idsOf, type PairFrame, pairFrame, type SpecialFrame, specialFrame } from './frames.js'
import { type Mask, maskOf, refuseMasks } from './mask.js'
import { isMessages, readMessages } from './messages.js'
import { isPair, readPair } from './pair.js'
import { plainIdsOf, spareWholeWords } from './plain-words.js'
import { type SpanFinder, spanFinder } from './spans.js'
import { isTokenIds, readTokenIds } from './token-ids.js'
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer-files.js'

export interface EncodedText {
  /** With the special tokens. */
  readonly ids: Int32Array
  /** Of a pair: ids from this place on have the token type 1. Absent where all have type 0. */
  readonly typeOneFrom?: number
}

export interface TextTokenizer {
  /** The longest input the model takes, special tokens included. */
  readonly maxTokens: number
  readonly padTokenId: number
  /** Of a fill-mask model; an input of it has exactly one. */
  readonly mask?: Mask
  /**
   * Truncation keeps the first content tokens and all special ones (of a prompt that is written on the last, which are
   * nearest to what follows); of a pair it cuts the longer text first.
   * @param options.room truncation leaves at most so many tokens; `maxTokens` by default
   * @param text or token ids as token-ids.ts writes them: taken as they are, between the special tokens unless they
   * have these already; or, for a rerank model, a pair as pair.ts writes it;
   * for a text-generation model messages as messages.ts writes them
   * @throws MillraceError `input_too_long` when the text is longer than `maxTokens` and `truncate` is false;
   * `invalid_input` for token ids that are not this model's, for what is a pair where a text belongs, and for a
   * fill-mask model's input in which not exactly one mask is left
   */
  encode(text: string, options: { truncate: boolean; room?: number }): EncodedText
  /** How many tokens the text has in full, special tokens included. @throws MillraceError `invalid_input`, as encode */
  count(text: string): number
  /**
   * Text of token ids as the reference library writes it.
   * @param options.special whether special tokens are written too
   * @param options.verbatim no spaces are tidied up, whatever the tokenizer's files say, so that more tokens only append
   */
  decode(ids: readonly number[], options: { special: boolean; verbatim?: boolean }): string
}

/** For tasks that put tokens together themselves, or whose answers are places in a text. */
export interface TextPieces {
  /** Tokens with their places in a text, of a task that needs them; absent where this tokenizer's cannot be told. */
  readonly spansOf?: SpanFinder
  /** How many special tokens are put before a text, and how many around it in all. */
  readonly specials: { readonly before: number; readonly all: number }
  /** Of two texts: how many are put before, between and behind them; absent for a task that takes one. */
  readonly pairSpecials?: { readonly before: number; readonly between: number; readonly after: number }
  /** Puts the special tokens around one row of ids, or around and between two. */
  frame(a: readonly number[], b?: readonly number[]): EncodedText
  /** Whether the vocabulary itself marks what goes on with a word (`##s`). */
  readonly marksPieces: boolean
  /** Stands for what the vocabulary has not. */
  readonly unknownId: number | undefined
  /** As the vocabulary writes it; undefined for an id that is none. */
  tokenOf(id: number): string | undefined
  /** Tokens as text: the reference's `convert_tokens_to_string`. */
  join(tokens: readonly string[]): string
  /** The ids of a text, without the special tokens. */
  idsOf(text: string): number[]
}

/**
 * @param task decides what is compared with: sentence-transformers strips a text that it embeds, while the classifiers
 * and cross-encoders of transformers get it as it is; a rerank model takes pairs, the others do not
 * @throws Error naming the file that is missing or broken
 */
export async function loadTextTokenizer(
  modelDir: string,
  task: Task = 'feature-extraction',
): Promise<TextTokenizer & { pieces: TextPieces }> {
  const files = await readTokenizerFiles(modelDir)
  let tokenizer: Tokenizer
  try {
    // `truncation` and `padding` inside tokenizer.json are not applied by this library (it never reads them).
    tokenizer = new Tokenizer(files.tokenizer, files.tokenizerConfig)
  } catch (error) {
    throw new Error(`The tokenizer cannot be loaded: ${modelDir}/tokenizer.json is not supported`, {
      cause: error,
    })
  }
  spareWholeWords(tokenizer, files.tokenizer)
  const plainIds = plainIdsOf(tokenizer, files.tokenizer)
  // The library has made its own maps of it: kept, it would take up room twice (1.6 MB for 30,000 words).
  delete files.tokenizer.model.vocab
  const typed = (files.modelConfig.type_vocab_size ?? 2) > 1
  const ofText = { ...specialFrame(tokenizer, modelDir), middle: [], middleOfFirst: undefined }
  const ofPair = pairTasks.includes(task) ? pairFrame(tokenizer, modelDir, typed) : undefined
  const keepsLast = task === 'text-generation'
  // What is written follows the prompt in the same context: one token at least.
  const readsTexts = !writtenOnly.includes(task)
  const maxTokens = readsTexts ? lengthLimit(files, modelDir) - (keepsLast ? 1 : 0) : Number.MAX_SAFE_INTEGER
  if (maxTokens <= (ofPair ? specialsOf(ofPair) + 1 : specialsOf(ofText))) {
    throw new Error(`The length limit of ${modelDir} (${maxTokens}) leaves no room for a token`)
  }
  const strip = task === 'feature-extraction'
  const lowerCase = files.sentenceConfig.do_lower_case === true

  const promptOf = task === 'text-generation' ? await chatTemplateOf(modelDir, files) : undefined
  const mask = task === 'fill-mask' ? maskOf(files, tokenizer) : undefined

  const finder = spanTasks.includes(task) && !lowerCase ? spanFinder(tokenizer, files) : undefined

  const contentOfText = (text: string): number[] => {
    const stripped = strip ? text.trim() : text
    const asked = lowerCase ? stripped.toLowerCase() : stripped
    return plainIds?.(asked) ?? idsOf(tokenizer, asked, false)
  }
  /** The one or two runs of ids between the special tokens. */
  const partsOf = (input: string): Parts => {
    if (isPair(input)) {
      if (!ofPair) throw new MillraceError('invalid_input', 'This model takes one text, not two')
      const { first, second } = readPair(input)
      return { frame: ofPair, a: contentOfText(first), b: contentOfText(second) }
    }
    if (isMessages(input)) {
      if (!promptOf) throw new MillraceError('invalid_input', 'This model has no chat template')
      // The template writes the special tokens itself.
      const frame = { prefix: [], middle: [], suffix: [], middleOfFirst: undefined }
      return { frame, a: contentOfText(promptOf(readMessages(input))), b: [] }
    }
    const a = isTokenIds(input) ? contentOfIds(readTokenIds(input), tokenizer, ofText) : contentOfText(input)
    return { frame: ofText, a, b: [] }
  }

  const pieces: TextPieces = {
    ...(finder ? { spansOf: finder } : {}),
    specials: { before: ofText.prefix.length, all: specialsOf(ofText) },
    ...(ofPair
      ? {
          pairSpecials: {
            before: ofPair.prefix.length,
            between: ofPair.middle.length,
            after: ofPair.suffix.length,
          },
        }
      : {}),
    marksPieces: Boolean(files.tokenizer.model.continuing_subword_prefix),
    unknownId: tokenizer.model?.unk_token_id,
    tokenOf: (id) => tokenizer.id_to_token(id),
    frame: (a, b) => {
      if (b !== undefined && !ofPair)
        throw new Error('Only the tokenizer of a task with pairs frames two texts')
      return framed({ frame: b === undefined ? ofText : (ofPair ?? ofText), a, b: b ?? [] })
    },
    join: (tokens) => {
      if (files.tokenizer.decoder?.type === 'ByteLevel') return byteLevelText(tokens)
      return tokenizer.decoder?.decode([...tokens]) ?? tokens.join(' ')
    },
    idsOf: contentOfText,
  }

  return {
    maxTokens,
    padTokenId: padTokenId(tokenizer, files),
    count: (text) => tokensOf(partsOf(text)),
    ...(mask ? { mask } : {}),
    pieces,
    decode: (ids, { special, verbatim = false }) =>
      tokenizer.decode([...ids], {
        skip_special_tokens: !special,
        ...(verbatim ? { clean_up_tokenization_spaces: false } : {}),
      }),
    encode(text, { truncate, room = maxTokens }) {
      const parts = partsOf(text)
      const tokens = tokensOf(parts)
      if (tokens <= maxTokens || truncate) {
        const limit = truncate ? Math.min(room, maxTokens) : maxTokens
        const kept = limit - specialsOf(parts.frame)
        const cut = () => (keepsLast ? lastOf(parts, kept) : longestFirst(parts, kept))
        const encoded = framed(tokens <= limit ? parts : cut())
        if (mask) refuseMasks(encoded.ids, mask)
        return encoded
      }
      const what = isPair(text) ? 'The two texts together have' : 'The text has'
      throw new MillraceError(
        'input_too_long',
        `${what} ${tokens} tokens; this model takes at most ${maxTokens}`,
      )
    },
  }
}

const pairTasks: readonly string[] = ['rerank', 'question-answering', 'zero-shot-classification']
/** Texts are what these give, and never what they get. */
const writtenOnly: readonly string[] = ['image-to-text', 'automatic-speech-recognition']
const spanTasks: readonly string[] = ['token-classification', 'question-answering']

interface Parts {
  readonly frame: PairFrame
  readonly a: readonly number[]
  /** Empty where there is one text only. */
  readonly b: readonly number[]
}

function specialsOf({ prefix, middle, suffix }: PairFrame): number {
  return prefix.length + middle.length + suffix.length
}

function tokensOf({ frame, a, b }: Parts): number {
  return specialsOf(frame) + a.length + b.length
}

function framed({ frame, a, b }: Parts): EncodedText {
  const ids = new Int32Array(tokensOf({ frame, a, b }))
  let at = 0
  for (const part of [frame.prefix, a, frame.middle, b, frame.suffix]) {
    ids.set(part, at)
    at += part.length
  }
  if (frame.middleOfFirst === undefined) return { ids }
  return { ids, typeOneFrom: frame.prefix.length + a.length + frame.middleOfFirst }
}

/** Of one text the last tokens, and one at least. */
function lastOf(parts: Parts, room: number): Parts {
  return { ...parts, a: parts.a.slice(-Math.max(1, room)) }
}

/** The lengths that the reference's `longest_first` leaves (huggingface/tokenizers, utils/truncation.rs). */
function longestFirst({ frame, a, b }: Parts, room: number): Parts {
  const shorter = Math.min(a.length, b.length)
  // The shorter text is kept whole as long as the longer one keeps at least as much; else each keeps half.
  const keep = 2 * shorter <= room ? shorter : Math.floor(room / 2)
  const [keepA, keepB] = a.length <= b.length ? [keep, room - keep] : [room - keep, keep]
  return { frame, a: a.slice(0, keepA), b: b.slice(0, keepB) }
}

/** sentence-transformers' rule: its own setting, else the tokenizer's limit bounded by the position embeddings. */
function lengthLimit(
  { sentenceConfig, tokenizerConfig, modelConfig }: TokenizerFiles,
  modelDir: string,
): number {
  if (sentenceConfig.max_seq_length != null) return sentenceConfig.max_seq_length
  const limit = Math.min(
    tokenizerConfig.model_max_length ?? Number.POSITIVE_INFINITY,
    modelConfig.max_position_embeddings ?? modelConfig.n_positions ?? Number.POSITIVE_INFINITY,
  )
  // Tokenizers without a limit carry a huge number (1e30) in its place.
  if (limit > 1 << 24) throw new Error(`No file of ${modelDir} says how many tokens the model takes`)
  return Math.floor(limit)
}

function padTokenId(tokenizer: Tokenizer, { tokenizerConfig, modelConfig }: TokenizerFiles): number {
  const pad = tokenizerConfig.pad_token
  const content = typeof pad === 'string' ? pad : pad?.content
  const id = content === undefined ? undefined : tokenizer.token_to_id(content)
  return id ?? modelConfig.pad_token_id ?? 0
}

/** Ids without the special tokens around them, if any. @throws MillraceError invalid_input */
function contentOfIds(ids: number[], tokenizer: Tokenizer, { prefix, suffix }: SpecialFrame): number[] {
  const foreign = ids.find((id) => tokenizer.id_to_token(id) === undefined)
  if (foreign !== undefined) {
    throw new MillraceError('invalid_input', `${foreign} is not a token of this model's own tokenizer`)
  }
  const end = ids.length - suffix.length
  const framed =
    end >= prefix.length &&
    prefix.every((id, index) => id === ids[index]) &&
    suffix.every((id, index) => id === ids[end + index])
  return framed ? ids.slice(prefix.length, end) : ids
}
