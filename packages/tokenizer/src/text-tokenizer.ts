/**
 * Text to token ids, exactly as sentence-transformers would make them: stripped, with special tokens, cut only where
 * asked. Pure JS and small, so that the gateway can count tokens too. Knows nothing of models or batches.
 */
import { Tokenizer } from '@huggingface/tokenizers'
import { MillraceError } from '@millrace/contracts'
import { isTokenIds, readTokenIds } from './token-ids.js'
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer-files.js'

export interface TextTokenizer {
  /** The longest input the model takes, special tokens included. */
  readonly maxTokens: number
  readonly padTokenId: number
  /**
   * Token ids with the special tokens; truncation keeps the first content tokens and all special ones.
   * @param text or token ids as token-ids.ts writes them: taken as they are, between the special tokens unless they
   * have these already
   * @throws MillraceError `input_too_long` when the text is longer than `maxTokens` and `truncate` is false;
   * `invalid_input` for token ids that are not this model's
   */
  encode(text: string, options: { truncate: boolean }): Int32Array
  /** How many tokens the text has in full, special tokens included. @throws MillraceError `invalid_input`, as encode */
  count(text: string): number
}

/** @throws Error naming the file that is missing or broken */
export async function loadTextTokenizer(modelDir: string): Promise<TextTokenizer> {
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
  const frame = specialFrame(tokenizer, modelDir)
  const maxTokens = lengthLimit(files, modelDir)
  const room = maxTokens - frame.prefix.length - frame.suffix.length
  if (room < 1) throw new Error(`The length limit of ${modelDir} (${maxTokens}) leaves no room for a token`)
  const lowerCase = files.sentenceConfig.do_lower_case === true

  // The reference library strips every text and lower-cases it where the model's own settings say so.
  const contentOf = (text: string): number[] => {
    if (isTokenIds(text)) return contentOfIds(readTokenIds(text), tokenizer, frame)
    const stripped = text.trim()
    return idsOf(tokenizer, lowerCase ? stripped.toLowerCase() : stripped, false)
  }

  return {
    maxTokens,
    padTokenId: padTokenId(tokenizer, files),
    count: (text) => contentOf(text).length + maxTokens - room,
    encode(text, { truncate }) {
      const content = contentOf(text)
      if (content.length > room && !truncate) {
        throw new MillraceError(
          'input_too_long',
          `The text has ${content.length + maxTokens - room} tokens; this model takes at most ${maxTokens}`,
        )
      }
      const kept = Math.min(content.length, room)
      const ids = new Int32Array(kept + maxTokens - room)
      ids.set(frame.prefix)
      for (let index = 0; index < kept; index++) ids[frame.prefix.length + index] = content[index] ?? 0
      ids.set(frame.suffix, frame.prefix.length + kept)
      return ids
    },
  }
}

/** sentence-transformers' rule: its own setting, else the tokenizer's limit bounded by the position embeddings. */
function lengthLimit(
  { sentenceConfig, tokenizerConfig, modelConfig }: TokenizerFiles,
  modelDir: string,
): number {
  if (sentenceConfig.max_seq_length != null) return sentenceConfig.max_seq_length
  const limit = Math.min(
    tokenizerConfig.model_max_length ?? Number.POSITIVE_INFINITY,
    modelConfig.max_position_embeddings ?? Number.POSITIVE_INFINITY,
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

interface SpecialFrame {
  readonly prefix: readonly number[]
  readonly suffix: readonly number[]
}

/** What the post-processor puts before and after a text, found by asking it rather than by knowing the model. */
function specialFrame(tokenizer: Tokenizer, modelDir: string): SpecialFrame {
  const special = idsOf(tokenizer, '', true)
  for (const probe of ['a', 'the', '1']) {
    const content = idsOf(tokenizer, probe, false)
    const framed = idsOf(tokenizer, probe, true)
    if (content.length === 0 || framed.length !== content.length + special.length) continue
    for (let start = 0; start <= special.length; start++) {
      const rebuilt = [...special.slice(0, start), ...content, ...special.slice(start)]
      if (rebuilt.every((id, index) => id === framed[index])) {
        return { prefix: special.slice(0, start), suffix: special.slice(start) }
      }
    }
  }
  throw new Error(
    `The special tokens of ${modelDir}/tokenizer.json are not a plain prefix and suffix, which is not supported`,
  )
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

function idsOf(tokenizer: Tokenizer, text: string, special: boolean): number[] {
  return tokenizer.encode(text, { add_special_tokens: special }).ids
}
