/**
 * Token ids given in place of a text, as one string: the canonical form in which they are hashed, queued and encoded, so
 * that nothing between the gateway's edge and the tokenizer need know of them. One list of ids has exactly one form.
 */
import { MillraceError } from '@millrace/contracts'

/** No text begins like this by chance: NUL has no meaning in text. Who takes texts from outside refuses those that do. */
const mark = '\u0000token-ids:'
/** Ids end up as int32. */
const largest = 2 ** 31 - 1

/** Whether this is the canonical form of token ids, or pretends to be. */
export function isTokenIds(input: string): boolean {
  return input.startsWith(mark)
}

/** @param ids whole numbers from 0 to 2^31 - 1, with or without the model's special tokens */
export function writeTokenIds(ids: readonly number[]): string {
  return mark + ids.join(',')
}

/** @throws MillraceError invalid_input for anything that `writeTokenIds` does not write */
export function readTokenIds(input: string): number[] {
  const ids = input === mark ? [] : input.slice(mark.length).split(',').map(Number)
  // Written out again, whatever was no plain decimal number reads otherwise.
  if (writeTokenIds(ids) !== input || !ids.every((id) => id >= 0 && id <= largest && Number.isInteger(id))) {
    throw new MillraceError('invalid_input', 'The input begins like a list of token ids and is none')
  }
  return ids
}
