/**
 * The four shapes of OpenAI's `input` as the inputs of a job, each checked. Token ids become the one string that the
 * tokenizer takes for them, so that the journey knows strings only.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type EmbeddingsInput, type FieldError, fieldError, MillraceError } from '@millrace/contracts'
import { type TextTokenizer, writeTokenIds } from '@millrace/tokenizer'
import { checkInputs, type InputLimits } from './check-inputs.js'

export interface EmbeddingsInputs {
  inputs: string[]
  /** Whether one string or one array of token ids was given. */
  single: boolean
}

/** Arrays of token ids checked in one turn of the event loop: others wait some 5 ms for us. */
const turnArrays = 64

/**
 * @param tokenizer of the model, where this gateway has its files; without it the worker alone finds bad inputs
 * @throws MillraceError empty_input, too_many_items, input_too_long, invalid_input
 */
export async function embeddingsInputs(
  given: EmbeddingsInput,
  tokenizer: TextTokenizer | undefined,
  limits: InputLimits,
): Promise<EmbeddingsInputs> {
  if (typeof given === 'string') return texts([given], true, tokenizer, limits)
  if (given.every((one) => typeof one === 'string')) return texts(given, false, tokenizer, limits)
  if (given.every((one) => typeof one === 'number')) return tokenIds([given], true, tokenizer, limits)
  return tokenIds(given as number[][], false, tokenizer, limits)
}

async function texts(
  inputs: string[],
  single: boolean,
  tokenizer: TextTokenizer | undefined,
  limits: InputLimits,
): Promise<EmbeddingsInputs> {
  await checkInputs({ inputs, single, truncate: false, tokenizer }, limits)
  return { inputs, single }
}

async function tokenIds(
  arrays: readonly number[][],
  single: boolean,
  tokenizer: TextTokenizer | undefined,
  limits: InputLimits,
): Promise<EmbeddingsInputs> {
  if (arrays.length > limits.maxItems) {
    const detail = `${arrays.length} items; a request holds at most ${limits.maxItems}`
    throw fieldError('too_many_items', 'input', detail)
  }
  const inputs: string[] = []
  for (const [i, ids] of arrays.entries()) {
    const input = writeTokenIds(ids)
    const found = tokenIdsFault(ids, input, tokenizer, limits)
    if (found) throw fieldError(found.code, pathOf(i, single), found.detail)
    inputs.push(input)
    if (i % turnArrays === turnArrays - 1) await nextTurn()
  }
  return { inputs, single }
}

function tokenIdsFault(
  ids: readonly number[],
  input: string,
  tokenizer: TextTokenizer | undefined,
  limits: InputLimits,
): Omit<FieldError, 'path'> | undefined {
  if (ids.length === 0) return { code: 'empty_input', detail: 'is empty' }
  if (input.length > limits.maxChars) {
    return { code: 'input_too_long', detail: `${ids.length} token ids are more than any input may hold` }
  }
  if (!tokenizer) return undefined
  try {
    const tokens = tokenizer.count(input)
    if (tokens <= tokenizer.maxTokens) return undefined
    const detail = `${tokens} tokens, special ones included; this model takes at most ${tokenizer.maxTokens}`
    return { code: 'input_too_long', detail }
  } catch (error) {
    if (error instanceof MillraceError) return { code: error.code, detail: error.message }
    throw error
  }
}

function pathOf(index: number, single: boolean): string {
  return single ? 'input' : `input[${index}]`
}
