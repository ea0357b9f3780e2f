/** fill-mask: the best candidates for the one masked place of a text. */
import { maxCandidates } from '@millrace/contracts'
import { loadTextTokenizer } from '@millrace/tokenizer'
import { scoredTokens } from '../candidates.js'
import { type ModelTask, textInputs } from './model-task.js'
import { candidatesOf } from './written-candidates.js'

export async function openFillMask(dir: string): Promise<ModelTask> {
  const tokenizer = await loadTextTokenizer(dir, 'fill-mask')
  const { mask } = tokenizer
  if (mask === undefined) throw new Error(`The tokenizer of ${dir} has no mask token`)
  return {
    ...textInputs(tokenizer),
    // In front, where truncation never cuts.
    probe: (text) => ({ input: `${mask.text} ${text}`, truncate: true }),
    engine: 'transformers-fill-mask',
    output: { kind: 'candidates', maskTokenId: mask.id, most: maxCandidates },
    files: [],
    // Two candidates that are nearly alike may change places by rounding; the scores in their order do not jump.
    continuous: (length) => length / 2,
    loaded: () => ({
      facts: { task: 'fill-mask', mask_token: mask.text },
      resultOf: (output, { ids }) => ({
        kind: 'candidates',
        candidates: candidatesOf(scoredTokens(output), ids, tokenizer),
      }),
    }),
  }
}
