/**
 * Two texts that a model reads together, as one string: the canonical form in which a pair is hashed, queued and encoded,
 * so that nothing between the gateway's edge and the tokenizer need know of pairs. One pair has exactly one form.
 */
import { MillraceError } from '@millrace/contracts'

/** No text begins like this by chance: NUL has no meaning in text. Who takes texts from outside refuses those that do. */
const mark = '\u0000pair:'

export interface Pair {
  readonly first: string
  readonly second: string
}

/** Whether this is the canonical form of a pair, or pretends to be. */
export function isPair(input: string): boolean {
  return input.startsWith(mark)
}

/** Well-formed where both texts are. The length, in UTF-16 units, says where the first one ends. */
export function writePair({ first, second }: Pair): string {
  return `${mark}${first.length}:${first}${second}`
}

/** @throws MillraceError invalid_input for anything that `writePair` does not write */
export function readPair(input: string): Pair {
  const colon = input.indexOf(':', mark.length)
  const digits = input.slice(mark.length, colon)
  const start = colon + 1
  const length = Number(digits)
  if (colon < 0 || !/^(0|[1-9]\d{0,9})$/.test(digits) || start + length > input.length) {
    throw new MillraceError('invalid_input', 'The input begins like a pair of texts and is none')
  }
  return { first: input.slice(start, start + length), second: input.slice(start + length) }
}
