/**
 * What a tokenizer puts around a text, and around and between two, found by asking it rather than by knowing the model.
 * Knows ids only; how much of a text is kept is text-tokenizer.ts' matter.
 */
import type { Tokenizer } from '@huggingface/tokenizers'

export interface SpecialFrame {
  readonly prefix: readonly number[]
  readonly suffix: readonly number[]
}

export interface PairFrame extends SpecialFrame {
  readonly middle: readonly number[]
  /** How many ids of `middle` still have the token type 0, of the first text; undefined: all of a pair has type 0. */
  readonly middleOfFirst: number | undefined
}

const probes = ['a', 'the', '1']

export function idsOf(tokenizer: Tokenizer, text: string, special: boolean): number[] {
  return tokenizer.encode(text, { add_special_tokens: special }).ids
}

/** @throws Error naming the folder whose special tokens are no plain prefix and suffix */
export function specialFrame(tokenizer: Tokenizer, modelDir: string): SpecialFrame {
  const special = idsOf(tokenizer, '', true)
  for (const probe of probes) {
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

/**
 * @param typed whether the model has token types at all
 * @throws Error naming the folder whose tokenizer does not write a pair as: prefix, first, middle, second, suffix
 */
export function pairFrame(tokenizer: Tokenizer, modelDir: string, typed: boolean): PairFrame {
  for (const [first, second] of [probes, probes.toReversed()] as [string, string][]) {
    const a = idsOf(tokenizer, first, false)
    const b = idsOf(tokenizer, second, false)
    const encoding = tokenizer.encode(first, { text_pair: second, return_token_type_ids: true })
    const { ids } = encoding
    // Declared as always there; a tokenizer without a post-processor gives none.
    const types: readonly number[] = encoding.token_type_ids ?? []
    const atA = placeOf(a, ids, 0)
    const endA = atA + a.length
    const atB = placeOf(b, ids, endA)
    if (a.length === 0 || b.length === 0 || atA < 0 || atB < 0) continue
    const frame = {
      prefix: ids.slice(0, atA),
      middle: ids.slice(endA, atB),
      suffix: ids.slice(atB + b.length),
    }
    const boundary = typed ? types.indexOf(1) : -1
    if (boundary < 0) return { ...frame, middleOfFirst: undefined }
    const inOrder = types.every((type, index) => type === (index < boundary ? 0 : 1))
    if (inOrder && boundary >= endA && boundary <= atB) return { ...frame, middleOfFirst: boundary - endA }
  }
  throw new Error(
    `${modelDir}/tokenizer.json does not write two texts one after the other with special tokens around them, ` +
      'which is not supported',
  )
}

function placeOf(part: readonly number[], whole: readonly number[], from: number): number {
  for (let at = Math.max(0, from); at + part.length <= whole.length; at++) {
    if (part.every((id, index) => id === whole[at + index])) return at
  }
  return -1
}
