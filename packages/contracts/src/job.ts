/** A job as it travels over HTTP: what is submitted and what is answered. */
import { z } from 'zod'
import { errorCodeSchema } from './problem.js'

export const jobStatuses = ['queued', 'processing', 'succeeded', 'failed', 'canceled', 'expired'] as const
export type JobStatus = (typeof jobStatuses)[number]
export type TerminalStatus = Exclude<JobStatus, 'queued' | 'processing'>

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== 'queued' && status !== 'processing'
}

export const encodings = ['float', 'base64'] as const

/** Options of the embedding task. Only `truncate` decides a result, so only it is part of the content key. */
export const embeddingOptionsSchema = z
  .strictObject({
    encoding: z
      .enum(encodings)
      .default('float')
      .describe('`float`: a JSON array of numbers; `base64`: little-endian float32 bytes'),
    truncate: z.boolean().default(false).describe('Cut an input that is too long instead of refusing it'),
  })
  .meta({ id: 'EmbeddingOptions' })
export type EmbeddingOptions = z.infer<typeof embeddingOptionsSchema>

/** The shape only: how many items a job may hold is configuration, so the gateway checks that. */
export const submitJobSchema = z
  .strictObject({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    input: z.string().optional().describe('One input; the output is then one result'),
    inputs: z
      .array(z.string())
      .optional()
      .describe('Many inputs; the output is then an array in the same order'),
    options: embeddingOptionsSchema.prefault({}),
  })
  .refine((body) => (body.input === undefined) !== (body.inputs === undefined), {
    message: 'give either `input` or `inputs`',
    path: ['input'],
  })
  .meta({ id: 'SubmitJob' })
export type SubmitJob = z.infer<typeof submitJobSchema>

export const itemErrorSchema = z
  .object({ error: z.object({ code: errorCodeSchema, detail: z.string() }) })
  .meta({ id: 'ItemError' })

export const embeddingSchema = z
  .union([z.array(z.number()), z.string()])
  .describe('An array of numbers, or base64 of little-endian float32')

export const itemOutputSchema = z.union([embeddingSchema, itemErrorSchema])

export const jobSchema = z
  .object({
    id: z.string().describe('UUIDv7'),
    object: z.literal('job'),
    status: z.enum(jobStatuses),
    model: z.string(),
    created_at: z.iso.datetime(),
    started_at: z.iso.datetime().nullable(),
    completed_at: z.iso.datetime().nullable(),
    expires_at: z.iso.datetime().describe('Until when this job can be read'),
    output: z
      .union([itemOutputSchema, z.array(itemOutputSchema)])
      .nullable()
      .describe(
        'One result for `input`, an array in the same order for `inputs`; null until the job is done',
      ),
    error: z.object({ code: errorCodeSchema, detail: z.string() }).nullable(),
    progress: z.object({ done: z.number().int(), total: z.number().int() }),
    queue: z
      .object({ position: z.number().int().nullable(), eta_ms: z.number().nullable() })
      .nullable()
      .describe('An estimate from queue depth and drain rate while the job waits; null once it is taken'),
    metrics: z.object({
      queue_ms: z.number().nullable(),
      tokenize_ms: z.number().nullable(),
      predict_ms: z.number().nullable(),
      batch_size: z.number().nullable(),
      cache: z.object({ hits: z.number().int(), misses: z.number().int(), joined: z.number().int() }),
    }),
    attempts: z.number().int(),
    urls: z.object({ get: z.string() }),
  })
  .meta({ id: 'Job' })
export type Job = z.infer<typeof jobSchema>
export type ItemOutput = z.infer<typeof itemOutputSchema>
