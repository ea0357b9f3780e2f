/** token-classification: what is named in a text (people, places, parts of speech), each with its place in it. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

/** How tokens are put together to entities, in the words of transformers' TokenClassificationPipeline. */
export const aggregationStrategies = ['none', 'simple', 'first', 'average', 'max'] as const
export type AggregationStrategy = (typeof aggregationStrategies)[number]

/** People ask for entities; the Python pipeline's own default, `none`, gives pieces of words. */
export const tokenClassification = {
  input: 'text',
  options: ['truncate'],
  params: { aggregation_strategy: 'simple' },
} as const satisfies TaskContract

const place = z
  .number()
  .int()
  .nullable()
  .describe(
    'Counted in Unicode code points of the input, as Python does; null where the tokenizer cannot tell',
  )

const found = {
  score: z.number(),
  word: z.string().describe('As the tokenizer reads it; the text itself is between `start` and `end`'),
  start: place,
  end: place,
}

export const entitySchema = z.object({ entity_group: z.string(), ...found }).meta({ id: 'Entity' })
export type Entity = z.infer<typeof entitySchema>

/** With `aggregation_strategy: "none"`. */
export const taggedTokenSchema = z
  .object({
    entity: z.string(),
    ...found,
    index: z.number().int().describe('Which token it is, special ones counted'),
  })
  .meta({ id: 'TaggedToken' })
export type TaggedToken = z.infer<typeof taggedTokenSchema>

export const tokenClassificationFacts = commonFacts.extend({
  task: z.literal('token-classification'),
  labels: z.array(z.string()).min(1).describe("In the model's own order"),
  places: z.boolean().describe('Whether `start` and `end` are told, and words are known'),
})
