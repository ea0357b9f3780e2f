/** What a fleet says of its models: the entries of `GET /v1/models` and what a worker announces. */
import { z } from 'zod'

export const tasks = ['feature-extraction'] as const
export type Task = (typeof tasks)[number]

/** What a loaded model is, as its workers found it. `version` is part of every content key. */
export const modelFactsSchema = z.object({
  version: z.string().describe('Digest over source, revision, file digests, dtype and pooling'),
  task: z.enum(tasks),
  dtype: z.string(),
  dimensions: z.number().int().positive(),
  max_tokens: z.number().int().positive(),
  batching: z.object({
    mode: z
      .enum(['batched', 'one_at_a_time'])
      .describe('`one_at_a_time` where the self-test found that company changes an answer'),
    probe_difference: z.number().describe('Largest difference between a vector alone and in a mixed batch'),
  }),
})
export type ModelFacts = z.infer<typeof modelFactsSchema>

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number().int().describe('Unix seconds'),
    owned_by: z.string(),
    task: z.enum(tasks),
    workers: z.number().int().describe('Workers that serve this model now'),
    queue: z.object({
      waiting: z.number().int().describe('Chunks that no worker has taken, as last sampled'),
      chunks_per_s: z.number().describe('How fast they were taken while some waited; 0 when that never was'),
    }),
    facts: modelFactsSchema.nullable().describe('null until a worker has loaded the model'),
  })
  .meta({ id: 'Model' })
export type Model = z.infer<typeof modelSchema>

export const modelListSchema = z
  .object({ object: z.literal('list'), data: z.array(modelSchema) })
  .meta({ id: 'ModelList' })
