/** Whether each input can be a model's input at all. All faulty ones are named together, by their paths. */
import { type FieldError, isMediaInput, MillraceError } from '@millrace/contracts'
import { isMessages, isPair, isTokenIds, masksFault, type TextTokenizer } from '@millrace/tokenizer'
import { maxReportedFaults } from './error-response.js'
import { TokenCounter } from './token-counter.js'

export interface InputLimits {
  maxItems: number
  maxChars: number
}

interface Checked {
  truncate: boolean
  /** Of the model, where this gateway has its files. Without it the worker alone can tell what is too long. */
  tokenizer: TextTokenizer | undefined
}

export interface InputsToCheck extends Checked {
  inputs: readonly string[]
  /** Whether the client gave `input`; decides how a path reads. */
  single: boolean
}

/** One item of a request, before it is one string. */
export interface ItemToCheck {
  /** What is tokenized: the text itself, or the texts put together. */
  input: string
  path: string
  /** The client's own texts in it. */
  texts: readonly TextToCheck[]
}

export interface TextToCheck {
  path: string
  text: string
}

export interface ItemsToCheck extends Checked {
  count: number
  /** Asked for one after the other, so that not all need be there at once. */
  item: (i: number) => ItemToCheck
  /** The field that holds them. */
  path: string
}

/** @throws MillraceError empty_input, too_many_items, input_too_long, invalid_input */
export async function checkInputs(
  { inputs, single, ...checked }: InputsToCheck,
  limits: InputLimits,
): Promise<void> {
  const item = (i: number): ItemToCheck => {
    const input = inputs[i] ?? ''
    const path = single ? 'input' : `inputs[${i}]`
    return { input, path, texts: [{ path, text: input }] }
  }
  await checkItems({ ...checked, count: inputs.length, item, path: 'inputs' }, limits)
}

/** @throws MillraceError empty_input, too_many_items, input_too_long, invalid_input */
export async function checkItems(given: ItemsToCheck, limits: InputLimits): Promise<void> {
  const { count, path } = given
  if (count === 0) throw fault([{ path, code: 'empty_input', detail: 'give at least one' }])
  if (count > limits.maxItems) {
    const detail = `${count} items; a job holds at most ${limits.maxItems}`
    throw fault([{ path, code: 'too_many_items', detail }])
  }
  const faults: FieldError[] = []
  const counter = given.truncate || !given.tokenizer ? undefined : new TokenCounter(given.tokenizer)
  for (let i = 0; i < count && faults.length < maxReportedFaults; i++) {
    const item = given.item(i)
    const found = item.texts.flatMap((text) => textFault(text, limits) ?? maskFault(text, given) ?? [])
    if (found.length > 0) faults.push(...found)
    else {
      const tooLong = counter?.faultOf(item.input)
      if (tooLong) faults.push({ path: item.path, ...tooLong })
    }
    if (counter?.needsRest) await counter.rest()
  }
  if (faults.length > 0) throw fault(faults)
}

/** For a text that is part of many items. @throws MillraceError empty_input, input_too_long, invalid_input */
export function checkText(text: TextToCheck, limits: InputLimits): void {
  const found = textFault(text, limits)
  if (found) throw fault([found])
}

function textFault({ path, text }: TextToCheck, limits: InputLimits): FieldError | undefined {
  if (text.length === 0) return { path, code: 'empty_input', detail: 'is empty' }
  if (text.length > limits.maxChars) {
    const detail = `${text.length} characters; at most ${limits.maxChars} are taken, with or without truncation`
    return { path, code: 'input_too_long', detail }
  }
  if (!text.isWellFormed()) return { path, code: 'invalid_input', detail: 'holds half of a surrogate pair' }
  if (isTokenIds(text) || isPair(text) || isMessages(text) || isMediaInput(text)) {
    const detail = 'begins with a mark that is kept for token ids, pairs, messages and files'
    return { path, code: 'invalid_input', detail }
  }
  return undefined
}

function maskFault({ path, text }: TextToCheck, { tokenizer }: Checked): FieldError | undefined {
  const detail = tokenizer?.mask && masksFault(text, tokenizer.mask)
  return detail === undefined ? undefined : { path, code: 'invalid_input', detail }
}

function fault(errors: FieldError[]): MillraceError {
  const [first] = errors
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''
  return new MillraceError(first?.code ?? 'invalid_input', `${first?.path}: ${first?.detail}${more}`, {
    errors,
  })
}
