/** image-classification: an image becomes a score for each label of the model. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const imageClassification = {
  input: 'image',
  options: ['top_k'],
  params: {},
} as const satisfies TaskContract

export const imageClassificationFacts = commonFacts.extend({
  task: z.literal('image-classification'),
  labels: z.array(z.string()).min(1).describe("In the model's own order"),
  multi_label: z
    .boolean()
    .describe('Each label is scored by itself; otherwise the scores of all labels add up to 1'),
})
