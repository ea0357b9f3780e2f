/** millrace.json: the models of a fleet, by alias. An alias is the only name of a model that ever leaves this file. */
import { devices, tasks } from '@millrace/contracts'
import { z } from 'zod'

const hubId = z.string().regex(/^[\w.-]+\/[\w.-]+$/, 'a hub id looks like owner/name')
const revision = z.string().regex(/^[0-9a-f]{40}$/, 'pin a revision: 40 hexadecimal digits of a commit')

const common = {
  task: z.enum(tasks).default('feature-extraction'),
  dtype: z
    .enum(['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'bnb4', 'q4f16'])
    .default('q8')
    .describe('Which ONNX file of the model is loaded'),
  device: z.enum(devices).optional().describe('Where its forward pass runs; absent: MODEL_DEVICE'),
}

export const modelEntrySchema = z.union([
  z.strictObject({
    path: z.string().min(1).describe('A local folder, relative to millrace.json'),
    ...common,
  }),
  z.strictObject({ hub: hubId, revision, ...common }),
])
export type ModelEntry = z.infer<typeof modelEntrySchema>

export const modelsFileSchema = z.strictObject({
  $schema: z.string().optional(),
  models: z
    .record(
      z.string().regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'an alias is letters, digits, dot, dash, underscore'),
      modelEntrySchema,
    )
    .refine((models) => Object.keys(models).length > 0, 'name at least one model'),
})
export type ModelsFile = z.infer<typeof modelsFileSchema>
