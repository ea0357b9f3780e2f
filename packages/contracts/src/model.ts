/** What a fleet says of its models: the entries of `GET /v1/models` and what a worker announces. */
import { z } from 'zod'
import { batchMode, type CommonFacts, type Task, taskFacts, tasks } from './tasks/index.js'

/** What a loaded model is, as its workers found it. `version` is part of every content key. */
export const modelFactsSchema = z.discriminatedUnion('task', [...taskFacts])
export type ModelFacts = z.infer<typeof modelFactsSchema>
/** The part of the facts that belongs to one task. */
export type TaskFacts = { [F in ModelFacts as F['task']]: Omit<F, keyof CommonFacts> }[Task]

/** What a worker says of one model that it serves, again and again while it is up. */
export const servingSchema = z.object({
  version: z.string().describe('As in `facts`: of the files that this worker has loaded'),
  dtype: z.string(),
  batching: z
    .object({
      mode: batchMode,
      tokens: z.number().int().describe('Largest padded token area of a batch (longest × count)'),
      items: z.number().int().describe('Most items of a batch'),
      timeout_ms: z.number().int().describe('Longest that one batch may take'),
    })
    .describe('The limits in force'),
  processes: z.number().int().describe('Model processes'),
  threads: z.number().int().describe('Of each model process'),
  tokens_per_s: z
    .number()
    .nullable()
    .describe(
      'Real tokens, padding not counted, per second of the time in which a batch was under way; of about the last 20 s ' +
        'of such time. null until there was one',
    ),
})
export type Serving = z.infer<typeof servingSchema>

/** So many workers of one model are listed; `workers` counts all. */
export const maxListedWorkers = 100

const servingWorkerSchema = servingSchema
  .extend({ id: z.string().describe('As in the logs'), started_at: z.iso.datetime() })
  .meta({ id: 'ServingWorker' })
export type ServingWorker = z.infer<typeof servingWorkerSchema>

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number().int().describe('Unix seconds'),
    owned_by: z.string(),
    task: z.enum(tasks),
    workers: z.number().int().describe('Workers that serve this model now'),
    versions: z
      .array(z.object({ version: z.string(), workers: z.number().int() }))
      .describe('What those workers run, most workers first. More than one: a rolling update, or a mistake'),
    tokens_per_s: z
      .number()
      .nullable()
      .describe('What all its workers compute together when they are busy; null until one has been'),
    served_by: z
      .array(servingWorkerSchema)
      .max(maxListedWorkers)
      .describe(`Each worker, by its id; at most ${maxListedWorkers}`),
    queue: z.object({
      waiting: z
        .number()
        .int()
        .describe(
          'BullMQ jobs that no worker has taken, as last sampled: a chunk each, or small ones of several jobs',
        ),
      chunks_per_s: z.number().describe('How fast they were taken while some waited; 0 when that never was'),
    }),
    facts: modelFactsSchema
      .nullable()
      .describe('As the worker that started last found them; null until one has loaded the model'),
  })
  .meta({ id: 'Model' })
export type Model = z.infer<typeof modelSchema>

export const modelListSchema = z
  .object({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' })
