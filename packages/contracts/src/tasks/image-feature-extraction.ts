/** image-feature-extraction: an image becomes a vector. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const imageFeatureExtraction = {
  input: 'image',
  options: ['encoding'],
  params: {},
} as const satisfies TaskContract

export const imageFeatureExtractionFacts = commonFacts.extend({
  task: z.literal('image-feature-extraction'),
  dimensions: z.number().int().positive().describe('Numbers of a vector'),
})
