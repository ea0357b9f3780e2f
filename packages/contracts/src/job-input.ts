/** One input of a job: its forms, told apart by hand where zod would name each fault of a huge body. */
import { z } from 'zod'

/** The fields of each form; a text has none. */
export const inputForms = {
  text: [],
  query_and_text: ['query', 'text'],
  image: ['image'],
  audio: ['audio'],
} as const satisfies Record<string, readonly string[]>
export type InputForm = keyof typeof inputForms

/** An input of a rerank model: how well does the text answer the query? */
export const queryAndTextSchema = z
  .strictObject({ query: z.string(), text: z.string() })
  .meta({ id: 'QueryAndText' })
export type QueryAndText = z.infer<typeof queryAndTextSchema>

const where = 'a data URL, or an https URL that the gateway fetches'
/** An input of an image task. */
export const imageInputSchema = z
  .strictObject({ image: z.string().describe(where) })
  .meta({ id: 'ImageInput' })
export type ImageInput = z.infer<typeof imageInputSchema>

/** An input of a speech task. */
export const audioInputSchema = z
  .strictObject({ audio: z.string().describe(where) })
  .meta({ id: 'AudioInput' })
export type AudioInput = z.infer<typeof audioInputSchema>

const expected =
  'Invalid input: expected a string or, for a rerank model, { query, text }, or { image } or { audio }'
export const jobInputSchema = z.union([z.string(), queryAndTextSchema, imageInputSchema, audioInputSchema], {
  error: expected,
})
export type JobInput = z.infer<typeof jobInputSchema>

const maxNamedInputs = 32

/** An array of inputs. Its faults are counted: zod would name each of two million numbers, for seconds. */
export const jobInputsSchema = z
  .array(z.unknown())
  .superRefine((inputs, context) => {
    for (let i = 0, named = 0; i < inputs.length && named < maxNamedInputs; i++) {
      if (inputFormOf(inputs[i]) !== undefined) continue
      named += 1
      context.addIssue({
        code: 'custom',
        path: [i],
        message: expected,
      })
    }
  })
  .transform((inputs) => inputs as JobInput[])
  .meta({
    type: 'array',
    items: {
      anyOf: Object.values(inputForms).map((fields) =>
        fields.length === 0
          ? { type: 'string' }
          : {
              type: 'object',
              properties: Object.fromEntries(fields.map((field) => [field, { type: 'string' }])),
              required: [...fields],
              additionalProperties: false,
            },
      ),
    },
  })

/** By hand: of an object with a million fields zod would name each. */
export function inputFormOf(input: unknown): InputForm | undefined {
  if (typeof input === 'string') return 'text'
  if (typeof input !== 'object' || input === null) return undefined
  const given = Object.entries(input)
  const forms = Object.entries(inputForms) as [InputForm, readonly string[]][]
  return forms.find(
    ([form, fields]) =>
      form !== 'text' &&
      given.length === fields.length &&
      given.every(([name, value]) => fields.includes(name) && typeof value === 'string'),
  )?.[0]
}

/** How a detail names a form. */
export function formWords(form: InputForm): string {
  return form === 'text' ? 'a string' : `{ ${inputForms[form].join(', ')} }`
}
