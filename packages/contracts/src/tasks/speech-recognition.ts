/** automatic-speech-recognition: a recording becomes what is said in it. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const speechRecognition = {
  input: 'audio',
  options: [],
  params: {},
} as const satisfies TaskContract

export const transcriptSchema = z.object({ text: z.string() }).meta({ id: 'Transcript' })
export type Transcript = z.infer<typeof transcriptSchema>

export const speechRecognitionFacts = commonFacts.extend({
  task: z.literal('automatic-speech-recognition'),
  sampling_rate: z.number().int().positive().describe('Per second: every recording is brought to it'),
})
