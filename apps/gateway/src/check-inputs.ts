/** Whether each input can be a model's input at all. All faulty ones are named together, by their paths. */
import { type FieldError, MillraceError } from '@millrace/contracts'
import { isTokenIds, type TextTokenizer } from '@millrace/tokenizer'
import { maxReportedFaults } from './error-response.js'
import { TokenCounter } from './token-counter.js'

export interface InputLimits {
  maxItems: number
  maxChars: number
}

export interface InputsToCheck {
  inputs: readonly string[]
  /** Whether the client gave `input`; decides how a path reads. */
  single: boolean
  truncate: boolean
  /** Of the model, where this gateway has its files. Without it the worker alone can tell what is too long. */
  tokenizer: TextTokenizer | undefined
}

/** @throws MillraceError empty_input, too_many_items, input_too_long, invalid_input */
export async function checkInputs(given: InputsToCheck, limits: InputLimits): Promise<void> {
  const { inputs, single } = given
  if (inputs.length === 0)
    throw fault([{ path: 'inputs', code: 'empty_input', detail: 'give at least one input' }])
  if (inputs.length > limits.maxItems) {
    const detail = `${inputs.length} items; a job holds at most ${limits.maxItems}`
    throw fault([{ path: 'inputs', code: 'too_many_items', detail }])
  }
  const faults: FieldError[] = []
  const counter = given.truncate || !given.tokenizer ? undefined : new TokenCounter(given.tokenizer)
  for (let i = 0; i < inputs.length && faults.length < maxReportedFaults; i++) {
    const input = inputs[i] ?? ''
    const found = inputFault(input, limits) ?? counter?.faultOf(input)
    if (found) faults.push({ path: single ? 'input' : `inputs[${i}]`, ...found })
    if (counter?.needsRest) await counter.rest()
  }
  if (faults.length > 0) throw fault(faults)
}

function inputFault(input: string, limits: InputLimits): Omit<FieldError, 'path'> | undefined {
  if (input.length === 0) return { code: 'empty_input', detail: 'is empty' }
  if (input.length > limits.maxChars) {
    const detail = `${input.length} characters; at most ${limits.maxChars} are taken, with or without truncation`
    return { code: 'input_too_long', detail }
  }
  if (!input.isWellFormed()) return { code: 'invalid_input', detail: 'holds half of a surrogate pair' }
  if (isTokenIds(input)) {
    return { code: 'invalid_input', detail: 'begins with a mark that is kept for token ids' }
  }
  return undefined
}

function fault(errors: FieldError[]): MillraceError {
  const [first] = errors
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return new MillraceError(first?.code ?? 'invalid_input', `${first?.path}: ${first?.detail}${more}`, {
    errors,
  })
}
