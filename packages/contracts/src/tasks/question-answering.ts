/** question-answering: the words of a context that answer a question, found in it and never made up. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

/** Most answers of one item, and most tokens of one: both only bound the work and the answer's size. */
export const maxAnswers = 20
export const maxAnswerTokens = 512

/** `top_k` decides which answers are put together, so it is no mere matter of how many are written out. */
export const questionAnswering = {
  input: 'question_and_context',
  options: ['truncate'],
  params: { top_k: 1, max_answer_len: 15, handle_impossible_answer: false },
  splits: true,
} as const satisfies TaskContract

const place = z.number().int().describe('Counted in Unicode code points of the context, as Python does')

/** In the words of transformers' QuestionAnsweringPipeline. */
export const answerSchema = z
  .object({
    score: z
      .number()
      .describe('An answer that is found in several places or parts has the sum of their scores'),
    start: place,
    end: place,
    answer: z.string().describe('Empty where none is found, or none is better'),
  })
  .meta({ id: 'Answer' })
export type Answer = z.infer<typeof answerSchema>

export const questionAnsweringFacts = commonFacts.extend({
  task: z.literal('question-answering'),
  part_tokens: z
    .number()
    .int()
    .positive()
    .describe('A context that is longer with its question is read in parts of so many'),
})
