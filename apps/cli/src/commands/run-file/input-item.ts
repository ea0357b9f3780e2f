/** One line of input: a JSON string, or an object with `input` and perhaps an `id`. Pure. */
import {
  formWords,
  type InputForm,
  type ItemError,
  inputFormOf,
  inputForms,
  type JobInput,
} from '@millrace/contracts'
import { type Line, maxLineBytes } from './input-lines.js'

export interface InputItem {
  readonly index: number
  /** Whatever the line gave, to find the output by; undefined where it gave none. */
  readonly id: unknown
  /** A text, or what else the model's task takes: a query and a text, a question and a context, messages, an image, audio. */
  readonly input: JobInput
}

/** What becomes of one line: its place is kept, whether there is an output or not. */
export type LineResult = {
  readonly index: number
  readonly id: unknown
} & (
  | { readonly output: unknown }
  /** `input` as far as it could be read. */
  | { readonly error: ItemError; readonly input: JobInput | undefined }
)

export type ReadLine = { readonly item: InputItem } | { readonly failed: LineResult }

export function readLine({ index, bytes }: Line): ReadLine {
  const failed = (code: ItemError['code'], detail: string, id?: unknown): ReadLine => ({
    failed: { index, id, input: undefined, error: { code, detail } },
  })
  if (bytes === undefined) return failed('input_too_long', `the line is longer than ${maxLineBytes} bytes`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    return failed('malformed_json', 'the line is not JSON in UTF-8')
  }
  if (typeof value === 'string') return { item: { index, id: undefined, input: value } }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return failed('invalid_request', 'the line is neither a string nor an object with `input`')
  }
  const { input, id } = value as { input?: unknown; id?: unknown }
  if (inputFormOf(input) !== undefined) return { item: { index, id, input: input as JobInput } }
  const forms = Object.keys(inputForms) as InputForm[]
  return failed('invalid_request', `\`input\` is none of ${forms.map(formWords).join(', ')}`, id)
}
