/** fill-mask: a text with one masked place becomes candidates for it. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

/** Of a masked text so many candidates are computed and kept; `top_k` asks for no more. */
export const maxCandidates = 20

export const fillMask = {
  input: 'text',
  options: ['truncate', 'top_k'],
  params: {},
} as const satisfies TaskContract

/** What may stand in the place of the mask, in the words of transformers' FillMaskPipeline. */
export const candidateSchema = z
  .object({
    score: z.number().describe('Its share of 1 among all tokens of the model'),
    token: z.number().int(),
    token_str: z.string(),
    sequence: z.string().describe('The text with the mask filled, as the tokenizer reads it'),
  })
  .meta({ id: 'Candidate' })
export type Candidate = z.infer<typeof candidateSchema>

export const fillMaskFacts = commonFacts.extend({
  task: z.literal('fill-mask'),
  mask_token: z.string().describe('How an input writes the place to be filled, exactly once'),
})
