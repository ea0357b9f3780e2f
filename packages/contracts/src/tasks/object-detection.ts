/** object-detection: an image becomes the objects that the model finds in it. */
import { z } from 'zod'
import { commonFacts } from './common-facts.js'
import type { TaskContract } from './task-contract.js'

export const objectDetection = {
  input: 'image',
  options: [],
  params: { threshold: 0.5 },
} as const satisfies TaskContract

/** In the words of transformers' ObjectDetectionPipeline. */
export const detectedObjectSchema = z
  .object({
    score: z.number(),
    label: z.string(),
    box: z
      .object({
        xmin: z.number().int(),
        ymin: z.number().int(),
        xmax: z.number().int(),
        ymax: z.number().int(),
      })
      .describe('In pixels of the image as it was sent, turned as its EXIF says; may lie beyond its edges'),
  })
  .meta({ id: 'DetectedObject' })
export type DetectedObject = z.infer<typeof detectedObjectSchema>

export const objectDetectionFacts = commonFacts.extend({
  task: z.literal('object-detection'),
  labels: z.array(z.string()).min(1).describe("In the model's own order"),
})
