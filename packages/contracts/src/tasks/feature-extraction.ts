/** feature-extraction: a text becomes a vector. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const encodings = ['float', 'base64'] as const
export type Encoding = (typeof encodings)[number]

export const featureExtraction = {
  input: 'text',
  options: ['truncate', 'encoding'],
  params: {},
} as const satisfies TaskContract

export const embeddingSchema = z
  .union([z.array(z.number()), z.string()])
  .describe('An array of numbers, or base64 of little-endian float32')

export const featureExtractionFacts = commonFacts.extend({
  task: z.literal('feature-extraction'),
  dimensions: z.number().int().positive().describe('Numbers of an embedding'),
})
