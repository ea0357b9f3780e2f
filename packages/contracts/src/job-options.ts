/** Options of a job. Which of them a model takes is its task's matter: see tasks/. */
import { z } from 'zod'
import { encodings } from './tasks/feature-extraction.js'
import { type Task, taskContracts } from './tasks/index.js'
import { maxAnswerTokens } from './tasks/question-answering.js'
import type { Params, ParamValue, TaskContract } from './tasks/task-contract.js'
import { aggregationStrategies } from './tasks/token-classification.js'
import { candidateLabelsSchema, hypothesisTemplateSchema } from './tasks/zero-shot-classification.js'

export const jobOptionsSchema = z
  .strictObject({
    truncate: z.boolean().default(false).describe('Cut an input that is too long instead of refusing it'),
    encoding: z
      .enum(encodings)
      .optional()
      .describe(
        'feature-extraction: `float` (default), a JSON array of numbers; `base64`, little-endian float32 bytes',
      ),
    top_k: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe(
        'text-classification: only so many labels, the best; all by default. fill-mask: so many candidates, at most 20; 5 by default. question-answering: so many answers, at most 20; 1 by default',
      ),
    raw_scores: z
      .boolean()
      .optional()
      .describe("rerank: the model's own number instead of its sigmoid, which lies between 0 and 1"),
    max_answer_len: z
      .number()
      .int()
      .min(1)
      .max(maxAnswerTokens)
      .optional()
      .describe('question-answering: most tokens of an answer; 15 by default'),
    handle_impossible_answer: z
      .boolean()
      .optional()
      .describe('question-answering: the answer may be that there is none, which is empty; false by default'),
    candidate_labels: candidateLabelsSchema
      .optional()
      .describe('zero-shot-classification, needed there: the labels to score, 1 to 64'),
    hypothesis_template: hypothesisTemplateSchema
      .optional()
      .describe(
        'zero-shot-classification: what is asked of each label, `{}` in its place; `This example is {}.` by default',
      ),
    multi_label: z
      .boolean()
      .optional()
      .describe(
        'zero-shot-classification: each label is scored by itself; otherwise (default) all scores add up to 1',
      ),
    aggregation_strategy: z
      .enum(aggregationStrategies)
      .optional()
      .describe(
        'token-classification: how tokens are put together to entities; `simple` by default, `none` gives each token',
      ),
  })
  .meta({ id: 'JobOptions' })
export type JobOptions = z.infer<typeof jobOptionsSchema>

/** The options that a model of this task takes. */
export function optionsOf(task: Task): string[] {
  const { options, params }: TaskContract = taskContracts[task]
  return [...options, ...Object.keys(params)]
}

/** What decides a result beside the input and `truncate`: as given, or else as the task has it by default. */
export function paramsOf(options: JobOptions, task: Task): Params {
  const { params }: TaskContract = taskContracts[task]
  const given = options as Readonly<Record<string, ParamValue | undefined>>
  return Object.fromEntries(
    Object.entries(params).flatMap(([name, byDefault]) => {
      const value = given[name] ?? byDefault
      return value == null ? [] : [[name, value]]
    }),
  )
}
