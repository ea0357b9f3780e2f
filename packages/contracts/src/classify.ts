/**
 * `POST /v1/classify` as it travels over HTTP: vLLM's and SGLang's form (`data[].label`, `probs`, `num_classes`), where
 * the numbers of `probs` have no names, with text-embeddings-inference's list of labels by score (`labels`) beside it.
 */
import { z } from 'zod'
import { labelScoreSchema } from './tasks/index.js'

const textsSchema = z
  .custom<string | string[]>(isTexts, { error: 'give a string or an array of strings' })
  .meta({
    type: ['string', 'array'],
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
  })

/** How many inputs there may be is configuration, so the gateway checks that. null counts as absent. */
export const classifySchema = z
  .strictObject({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    input: textsSchema.nullish(),
    inputs: textsSchema.nullish().describe('The same as `input`, as text-embeddings-inference calls it'),
    top_k: z.number().int().min(1).nullish().describe('Only so many `labels`, the best; all by default'),
    truncate: z.boolean().nullish().describe('Cut a text that is too long instead of refusing it'),
  })
  .refine((body) => (body.input == null) !== (body.inputs == null), {
    message: 'give either `input` or `inputs`',
    path: ['input'],
  })
  .meta({ id: 'Classify' })
export type Classify = z.infer<typeof classifySchema>

export const usageSchema = z
  .object({ prompt_tokens: z.number().int(), total_tokens: z.number().int() })
  .describe("The model's own tokens, special ones included; 0 where the gateway has not the model's files")
export type Usage = z.infer<typeof usageSchema>

export const classificationSchema = z.object({
  index: z.number().int(),
  label: z.string().describe('The best one'),
  probs: z.array(z.number()).describe("The score of every label, in the model's own order"),
  num_classes: z.number().int(),
  labels: z.array(labelScoreSchema).describe('Best first; `top_k` of them'),
})

export const classificationListSchema = z
  .object({
    object: z.literal('list'),
    model: z.string(),
    data: z.array(classificationSchema),
    usage: usageSchema,
  })
  .meta({ id: 'ClassificationList' })

/** By hand: zod would tell of each of a million faulty elements. */
function isTexts(input: unknown): input is string | string[] {
  return typeof input === 'string' || (Array.isArray(input) && input.every((one) => typeof one === 'string'))
}
