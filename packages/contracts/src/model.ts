/** What a fleet says of its models: the entries of `GET /v1/models` and what a worker announces. */
import { z } from 'zod'

export const tasks = ['feature-extraction', 'text-classification', 'rerank', 'fill-mask'] as const
export type Task = (typeof tasks)[number]

/** Where a model's forward pass runs. */
export const devices = ['cpu', 'cuda', 'webgpu'] as const
export type Device = (typeof devices)[number]

/** How a worker cuts its batches. */
export const batchPolicySchema = z.object({
  max_padded_tokens: z.number().int().positive().describe('Longest x count; one item alone may exceed it'),
  max_items: z.number().int().positive(),
  found: z
    .enum(['set', 'usual', 'measured', 'kept', 'unmeasured'])
    .describe(
      '`set`: by configuration; `usual`: the default of the device; `measured`: at the start; `kept`: measured at an ' +
        'earlier start on that host; `unmeasured`: measuring failed, so the default',
    ),
  tokens_per_s: z
    .number()
    .nullable()
    .describe('Of one model process with such batches; null unless measured'),
})
export type BatchPolicy = z.infer<typeof batchPolicySchema>

const commonFacts = z.object({
  version: z.string().describe('Digest over source, revision, file digests, dtype and pooling'),
  dtype: z.string(),
  device: z.enum(devices).optional().describe('Where its forward pass runs; absent: `cpu`'),
  max_tokens: z.number().int().positive(),
  batching: z.object({
    mode: z
      .enum(['batched', 'one_at_a_time'])
      .describe('`one_at_a_time` where the self-test found that company changes an answer'),
    probe_difference: z.number().describe('Largest difference between a result alone and in a mixed batch'),
    policy: batchPolicySchema
      .optional()
      .describe('Of the worker that announced itself last: hosts may differ in what they measured'),
  }),
})

/** What a loaded model is, as its workers found it. `version` is part of every content key. */
export const modelFactsSchema = z.discriminatedUnion('task', [
  commonFacts.extend({
    task: z.literal('feature-extraction'),
    dimensions: z.number().int().positive().describe('Numbers of an embedding'),
  }),
  commonFacts.extend({
    task: z.literal('text-classification'),
    labels: z.array(z.string()).min(1).describe("In the model's own order"),
    multi_label: z
      .boolean()
      .describe('Each label is scored by itself; otherwise the scores of all labels add up to 1'),
  }),
  commonFacts.extend({ task: z.literal('rerank') }),
  commonFacts.extend({
    task: z.literal('fill-mask'),
    mask_token: z.string().describe('How an input writes the place to be filled, exactly once'),
  }),
])
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
