/** millrace.json: the models of a fleet, by alias. An alias is the only name of a model that ever leaves this file. */
import { devices, tasks } from '@millrace/contracts'
import { z } from 'zod'
import { limitRanges } from './limit-ranges.js'

const hubId = z
  .string()
  .regex(/^[\w.-]+\/[\w.-]+$/, 'a hub id looks like owner/name')
  .describe('Instead of `path`: a model hub id, `owner/name`')
const revision = z
  .string()
  .regex(/^[0-9a-f]{40}$/, 'pin a revision: 40 hexadecimal digits of a commit')
  .describe(
    'The commit to take, 40 hexadecimal digits; downloaded once into `MILLRACE_DATA_DIR`, by `millrace models add`, `millrace prepare` or the first worker',
  )

const limit = ([min, max]: readonly [number, number], setting: string, words: string) =>
  z.number().int().min(min).max(max).optional().describe(`${words} (default: \`${setting}\`)`)

const orAuto = ([min, max]: readonly [number, number], setting: string, words: string) =>
  z
    .union([z.literal('auto'), z.number().int().min(min).max(max)])
    .optional()
    .describe(`${words} (default: \`${setting}\`)`)

const limitsSchema = z.strictObject({
  batch_tokens: orAuto(
    limitRanges.batchTokens,
    'BATCH_TOKENS',
    'Largest padded token area (longest × count) of a batch, or `auto`',
  ),
  batch_items: limit(limitRanges.batchItems, 'BATCH_ITEMS', 'Most items of a batch'),
  batch_timeout_ms: limit(
    limitRanges.batchTimeoutMs,
    'BATCH_TIMEOUT_MS',
    'A model process busier than this with one batch is killed',
  ),
  processes: limit(limitRanges.processes, 'MODEL_PROCESSES', 'Model processes of each worker'),
  threads: orAuto(limitRanges.threads, 'MODEL_THREADS', 'Intra-op threads of one model process, or `auto`'),
  max_items: limit(limitRanges.maxItems, 'MAX_ITEMS', 'Most items one job may hold'),
  max_chars: limit(limitRanges.maxChars, 'MAX_INPUT_CHARS', 'Most characters one input may hold'),
})

export const dtypes = ['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4', 'bnb4', 'q4f16'] as const

const common = {
  task: z.enum(tasks).default('feature-extraction').describe('What the model does (docs/tasks)'),
  dtype: z.enum(dtypes).default('q8').describe('Which ONNX file of the model is loaded'),
  device: z.enum(devices).optional().describe('Where it runs (docs/devices.md) (default: `MODEL_DEVICE`)'),
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'a digest is sha256: and 64 hexadecimal digits')
    .optional()
    .describe(
      'Pins the files: a worker whose files have another digest does not start. Written by `millrace models add`',
    ),
  limits: limitsSchema
    .optional()
    .describe('Limits of this model alone; what is not here is as the environment says'),
}

const localEntrySchema = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      'A local folder, relative to millrace.json, in the layout of transformers.js (`config.json`, `tokenizer.json`, `onnx/`)',
    ),
  ...common,
})
const hubEntrySchema = z.strictObject({ hub: hubId, revision, ...common })

export const modelEntrySchema = z.union([localEntrySchema, hubEntrySchema])
export type ModelEntry = z.infer<typeof modelEntrySchema>
/** As it is written: what has a default may be left out. */
export type ModelEntryText = z.input<typeof modelEntrySchema>

export const aliasSchema = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'an alias is letters, digits, dot, dash, underscore')

export const modelsFileSchema = z.strictObject({
  $schema: z
    .string()
    .optional()
    .describe('Where editors find the schema of this file: `./millrace.schema.json`'),
  models: z
    .record(aliasSchema, modelEntrySchema)
    .refine((models) => Object.keys(models).length > 0, 'name at least one model')
    .describe('The models by alias: the name by which a client asks for one')
    .meta({ minProperties: 1 }),
})
export type ModelsFile = z.infer<typeof modelsFileSchema>
/** As it is written: what has a default may be left out. */
export type ModelsFileText = z.input<typeof modelsFileSchema>

/** Every field of an entry with its words, for docs/configuration.md. */
export const entryFields: Record<string, z.ZodType> = {
  path: localEntrySchema.shape.path,
  hub: hubId,
  revision,
  ...common,
}
export const limitFields: Record<string, z.ZodType> = limitsSchema.shape
