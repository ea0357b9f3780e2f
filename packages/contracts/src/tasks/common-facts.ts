/** What every loaded model says of itself, whatever its task. */
import { z } from 'zod'

/** How a model is batched: `one_at_a_time` where the self-test found that company changes an answer. */
export const batchMode = z.enum(['batched', 'one_at_a_time'])

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

export const commonFacts = z.object({
  version: z.string().describe('Digest over source, revision, file digests, dtype and pooling'),
  dtype: z.string(),
  device: z.enum(devices).optional().describe('Where its forward pass runs; absent: `cpu`'),
  max_tokens: z.number().int().positive(),
  batching: z.object({
    mode: batchMode.describe(
      '`one_at_a_time` where the self-test found that company changes an answer, and where the task is run so',
    ),
    probe_difference: z.number().describe('Largest difference between a result alone and in a mixed batch'),
    policy: batchPolicySchema
      .optional()
      .describe('Of the worker that announced itself last: hosts may differ in what they measured'),
  }),
})
export type CommonFacts = z.infer<typeof commonFacts>
