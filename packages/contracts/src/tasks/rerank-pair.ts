/** rerank: a query and a text become one score of how well the text answers the query. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const rerankPair = {
  input: 'query_and_text',
  options: ['truncate', 'raw_scores'],
  params: {},
} as const satisfies TaskContract

export const scoreSchema = z.object({ score: z.number() }).meta({ id: 'Score' })

export const rerankFacts = commonFacts.extend({ task: z.literal('rerank') })
