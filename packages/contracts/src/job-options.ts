/** Options of a job. Which of them a model takes is its task's matter: see tasks/. */
import { z } from 'zod'
import { encodings } from './tasks/feature-extraction.js'
import { type Task, taskContracts } from './tasks/index.js'
import type { Params, ParamValue, TaskContract } from './tasks/task-contract.js'

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
        'text-classification: only so many labels, the best; all by default. fill-mask: so many candidates, at most 20; 5 by default',
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
