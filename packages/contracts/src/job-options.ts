/** Options of a job. Which of them a model takes is its task's matter: see tasks/. */
import { z } from 'zod'
import { encodings } from './tasks/feature-extraction.js'
import { mostStops } from './tasks/generation.js'
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
        'text-classification: only so many labels, the best; all by default. fill-mask: so many candidates, at most 20; 5 by default. question-answering: so many answers, at most 20; 1 by default. Generating: drawn from so many tokens, the likeliest',
      ),
    threshold: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('object-detection: only objects with a higher score than this; 0.5 by default'),
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
    max_new_tokens: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('Generating: most tokens to write; 256 by default. The gateway has a limit of its own'),
    min_new_tokens: z
      .number()
      .int()
      .min(0)
      .optional()
      .describe('Generating: it does not end by itself before so many; 0 by default'),
    do_sample: z
      .boolean()
      .optional()
      .describe(
        'Generating: draw each token instead of taking the likeliest. Without a `seed` each result is new, and never cached',
      ),
    temperature: z
      .number()
      .gt(0)
      .max(100)
      .optional()
      .describe('With `do_sample`: above 1 flatter, below 1 sharper'),
    top_p: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('With `do_sample`: drawn from the fewest tokens that have this share together'),
    repetition_penalty: z
      .number()
      .gt(0)
      .max(100)
      .optional()
      .describe('Generating: above 1 makes tokens that are there already less likely'),
    no_repeat_ngram_size: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('Generating: no so many tokens in a row come twice'),
    stop: z
      .array(z.string().min(1).max(100))
      .min(1)
      .max(mostStops)
      .optional()
      .describe('Generating: ends before the first of these texts'),
    seed: z
      .number()
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .optional()
      .describe('With `do_sample`: the same seed draws the same text'),
    language: z
      .string()
      .regex(/^[a-z]{2,3}$/, 'a code such as en')
      .optional()
      .describe(
        'automatic-speech-recognition, by models that know several (`languages` of /v1/models): what is spoken, as a code such as `en`; by default it is heard from the first seconds',
      ),
    translate: z
      .boolean()
      .optional()
      .describe('automatic-speech-recognition, by models that can: written in English; false by default'),
    return_timestamps: z
      .boolean()
      .optional()
      .describe(
        'automatic-speech-recognition, by models that can: says when each part was said; false by default',
      ),
    max_time_ms: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe(
        'Generating: ends after this time with what there is; counted from when the model begins. Such a result is not cached',
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
