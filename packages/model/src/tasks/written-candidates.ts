/** Scored tokens as the candidates of a masked text, written as transformers' FillMaskPipeline writes them. */
import { type Candidate, shortFloat } from '@millrace/contracts'
import type { TextTokenizer } from '@millrace/tokenizer'
import type { ScoredToken } from '../candidates.js'

/** @param ids of the text, special tokens and its one mask included */
export function candidatesOf(
  scored: readonly ScoredToken[],
  ids: Int32Array,
  tokenizer: Pick<TextTokenizer, 'decode' | 'mask'>,
): Candidate[] {
  const { mask } = tokenizer
  const filled = (token: number) => Array.from(ids, (id) => (id === mask?.id ? token : id))
  return scored.map(({ token, score }) => ({
    score: shortFloat(score),
    token,
    token_str: tokenizer.decode([token], { special: true }),
    sequence: tokenizer.decode(filled(token), { special: false }),
  }))
}
