/** One input of a job: its forms, told apart by hand where zod would name each fault of a huge body. */
import { z } from 'zod'

/** The fields of each form; a text has none. */
export const inputForms = {
  text: [],
  query_and_text: ['query', 'text'],
  question_and_context: ['question', 'context'],
  messages: ['messages'],
  image: ['image'],
  audio: ['audio'],
} as const satisfies Record<string, readonly string[]>
export type InputForm = keyof typeof inputForms

/** An input of a rerank model: how well does the text answer the query? */
export const queryAndTextSchema = z
  .strictObject({ query: z.string(), text: z.string() })
  .meta({ id: 'QueryAndText' })
export type QueryAndText = z.infer<typeof queryAndTextSchema>

/** An input of a question-answering model: where in the context is the answer? */
export const questionAndContextSchema = z
  .strictObject({ question: z.string(), context: z.string() })
  .meta({ id: 'QuestionAndContext' })
export type QuestionAndContext = z.infer<typeof questionAndContextSchema>

const mostMessages = 256

/** One message of a chat. Which roles a model knows is its own template's matter. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
}

/** An input of a text-generation model with a chat template. */
export const messagesSchema = z
  .strictObject({
    messages: z
      .array(z.strictObject({ role: z.string().min(1).max(64), content: z.string() }))
      .min(1)
      .max(mostMessages),
  })
  .meta({ id: 'Messages' })

const where = 'A data URL, or an https URL that the gateway fetches'
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

/** The fault of an input of no form at all. */
const expectation =
  'Invalid input: expected a string or, for a rerank model, { query, text }, for a question-answering model { question, context }; for a text-generation model also { messages: [{ role, content }] }; for an image model { image }, for a speech model { audio }'

export const jobInputSchema = z.union(
  [
    z.string(),
    queryAndTextSchema,
    questionAndContextSchema,
    messagesSchema,
    imageInputSchema,
    audioInputSchema,
  ],
  { error: expectation },
)
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
        message: expectation,
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
              properties: Object.fromEntries(fields.map((field) => [field, fieldShape(field)])),
              required: [...fields],
              additionalProperties: false,
            },
      ),
    },
  })

function fieldShape(field: string): { type: 'string' } | { type: 'array'; items: object } {
  if (field !== 'messages') return { type: 'string' }
  const properties = { role: { type: 'string' }, content: { type: 'string' } }
  const items = { type: 'object', properties, required: ['role', 'content'], additionalProperties: false }
  return { type: 'array', items }
}

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
      given.every(
        ([name, value]) =>
          fields.includes(name) &&
          (form === 'messages' ? chatMessagesOf(value) !== undefined : typeof value === 'string'),
      ),
  )?.[0]
}

/** The messages, where these are some and nothing else; by hand, as above. */
export function chatMessagesOf(given: unknown): readonly ChatMessage[] | undefined {
  if (!Array.isArray(given) || given.length === 0 || given.length > mostMessages) return undefined
  const whole = given.every((message: unknown) => {
    if (typeof message !== 'object' || message === null || Object.keys(message).length !== 2) return false
    const { role, content } = message as Partial<ChatMessage>
    return typeof role === 'string' && role !== '' && role.length <= 64 && typeof content === 'string'
  })
  return whole ? given : undefined
}

/** How a detail names a form. */
export function formWords(form: InputForm): string {
  if (form === 'messages') return '{ messages: [{ role, content }] }'
  return form === 'text' ? 'a string' : `{ ${inputForms[form].join(', ')} }`
}
