/** What a fleet says of its models: the entries of `GET /v1/models` and what a worker announces. */
import { z } from 'zod'
import { type CommonFacts, type Task, taskFacts, tasks } from './tasks/index.js'

/** What a loaded model is, as its workers found it. `version` is part of every content key. */
export const modelFactsSchema = z.discriminatedUnion('task', [...taskFacts])
export type ModelFacts = z.infer<typeof modelFactsSchema>
/** The part of the facts that belongs to one task. */
export type TaskFacts = { [F in ModelFacts as F['task']]: Omit<F, keyof CommonFacts> }[Task]

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number().int().describe('Unix seconds'),
    owned_by: z.string(),
    task: z.enum(tasks),
    workers: z.number().int().describe('Workers that serve this model now'),
    queue: z.object({
      waiting: z.number().int().describe('BullMQ jobs that no worker has taken, as last sampled: a chunk each, or small ones of several jobs'),
      chunks_per_s: z.number().describe('How fast they were taken while some waited; 0 when that never was'),
    }),
    facts: modelFactsSchema.nullable().describe('null until a worker has loaded the model'),
  })
  .meta({ id: 'Model' })
export type Model = z.infer<typeof modelSchema>

export const modelListSchema = z
  .object({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' })
