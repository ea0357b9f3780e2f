/** The one place of a text that a fill-mask model fills. Knows the mask token only; what fills it is the model's matter. */
import type { Tokenizer } from '@huggingface/tokenizers'
import { MillraceError } from '@millrace/contracts'
import type { TokenizerFiles } from './tokenizer-files.js'

export interface Mask {
  readonly id: number
  /** How a text writes it. */
  readonly text: string
  /** Whether every mask of a text is written exactly like `text`, so that they can be counted without a tokenizer. */
  readonly verbatim: boolean
}

/** The tokenizer's own mask token, if it has one. */
export function maskOf(
  { tokenizerConfig, tokenizer: file }: Pick<TokenizerFiles, 'tokenizer' | 'tokenizerConfig'>,
  tokenizer: Pick<Tokenizer, 'token_to_id'>,
): Mask | undefined {
  const token = tokenizerConfig.mask_token
  const text = typeof token === 'string' ? token : token?.content
  const id = text ? tokenizer.token_to_id(text) : undefined
  if (text === undefined || id === undefined) return undefined
  const added = file.added_tokens.find(({ content }) => content === text)
  return { id, text, verbatim: added?.normalized === false }
}

/** @throws MillraceError invalid_input unless exactly one of the ids is the mask */
export function refuseMasks(ids: Int32Array, mask: Mask): void {
  const count = ids.reduce((sum, id) => sum + (id === mask.id ? 1 : 0), 0)
  if (count !== 1) throw new MillraceError('invalid_input', masksDetail(count, mask))
}

/**
 * What is wrong with a text, told without tokenizing it: undefined where nothing is, or where only `encode` can tell.
 * Truncation may still cut the mask off.
 */
export function masksFault(text: string, mask: Mask): string | undefined {
  const count = text.split(mask.text).length - 1
  return mask.verbatim && count !== 1 ? masksDetail(count, mask) : undefined
}

function masksDetail(count: number, { text }: Mask): string {
  return `${count === 0 ? 'no' : count} ${text}; this model takes exactly one, within its length`
}
