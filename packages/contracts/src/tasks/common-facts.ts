/** What every loaded model says of itself, whatever its task. */
import { z } from 'zod'

export const commonFacts = z.object({
  version: z.string().describe('Digest over source, revision, file digests, dtype and pooling'),
  dtype: z.string(),
  max_tokens: z.number().int().positive(),
  batching: z.object({
    mode: z
      .enum(['batched', 'one_at_a_time'])
      .describe(
        '`one_at_a_time` where the self-test found that company changes an answer, and where the task is run so',
      ),
    probe_difference: z.number().describe('Largest difference between a result alone and in a mixed batch'),
  }),
})
export type CommonFacts = z.infer<typeof commonFacts>
