/** automatic-speech-recognition: a recording becomes what is said in it. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

/** A recording takes as long as many forward passes, so each is a chunk of its own: any idle worker may take the next. */
export const speechRecognition = {
  input: 'audio',
  options: [],
  params: { language: null, translate: false, return_timestamps: false },
  chunkItems: 1,
} as const satisfies TaskContract

/** In the words of transformers' pipeline. */
export const transcriptSchema = z
  .object({
    text: z.string(),
    language: z
      .string()
      .optional()
      .describe('That was asked for, or else heard; of a model that knows several'),
    chunks: z
      .array(
        z.object({
          timestamp: z.tuple([z.number(), z.number()]).describe('Beginning and end, in seconds'),
          text: z.string(),
        }),
      )
      .optional()
      .describe('With `return_timestamps`'),
  })
  .meta({ id: 'Transcript' })
export type Transcript = z.infer<typeof transcriptSchema>

export const speechRecognitionFacts = commonFacts.extend({
  task: z.literal('automatic-speech-recognition'),
  sampling_rate: z.number().int().positive().describe('Per second: every recording is brought to it'),
  languages: z.array(z.string()).optional().describe('That it knows, where it knows several'),
})
