/** A submit with files as `multipart/form-data`: the fields of the body as parts, beside the files. Knows no transport. */
import type { SubmitBody } from './millrace.js'

/** The body of a submit whose inputs are files. One is an input, an array of them many, in their order. */
export interface SubmitFilesBody extends Omit<SubmitBody, 'input' | 'inputs'> {
  /** Of one of the two kinds. */
  readonly image?: Blob | readonly Blob[]
  readonly audio?: Blob | readonly Blob[]
}

export function submitForm({ image = [], audio = [], ...fields }: SubmitFilesBody): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined)
      form.append(name, typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
  for (const [name, given] of Object.entries({ image, audio })) {
    for (const file of given instanceof Blob ? [given] : given) form.append(name, file, 'file')
  }
  return form
}
