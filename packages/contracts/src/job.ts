/** A job as it travels over HTTP: what is submitted and what is answered. */
import { z } from 'zod'
import { jobInputSchema, jobInputsSchema } from './job-input.js'
import { jobOptionsSchema } from './job-options.js'
import { errorCodeSchema } from './problem.js'
import { taskOutputs } from './tasks/index.js'
import { deliverySchema, webhookEventSchema, webhookSchema } from './webhook.js'

export const jobStatuses = ['queued', 'processing', 'succeeded', 'failed', 'canceled', 'expired'] as const
export type JobStatus = (typeof jobStatuses)[number]
export type TerminalStatus = Exclude<JobStatus, 'queued' | 'processing'>

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== 'queued' && status !== 'processing'
}

/** A client's own words about a job: kept beside it, answered with it, never looked into. */
export const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 16, { message: 'holds more than 16 entries' })
export type Metadata = z.infer<typeof metadataSchema>

const dayMs = 86_400_000
/** The shape only: how many items a job may hold is configuration, so the gateway checks that. */
export const submitJobSchema = z
  .strictObject({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    input: jobInputSchema.optional().describe('One input; the output is then one result'),
    inputs: jobInputsSchema.optional().describe('Many inputs; the output is then an array in the same order'),
    options: jobOptionsSchema.prefault({}),
    priority: z
      .number()
      .int()
      .min(0)
      .max(9)
      .default(0)
      .describe('0 goes first and is the default; 9 yields to all others, like `nice`'),
    timeout_ms: z
      .number()
      .int()
      .min(1)
      .max(7 * dayMs)
      .optional()
      .describe('Whole life: not settled this long after its submit, the job expires'),
    start_timeout_ms: z
      .number()
      .int()
      .min(1)
      .max(7 * dayMs)
      .optional()
      .describe('Not taken by a worker this long after its submit, the job expires'),
    metadata: metadataSchema.default({}).describe('Up to 16 strings of your own, answered with the job'),
    webhook: webhookSchema.optional().describe('Where to tell of this job; see docs/webhooks.md'),
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

const results = Object.values(taskOutputs)
export const itemOutputSchema = z
  .union([...results, itemErrorSchema])
  .describe(`${Object.keys(taskOutputs).join('; ')}; or the error of this item`)

/** What a job that waits is told; `workers` is 0 where nobody is there to take it. */
export const queueStateSchema = z.object({
  position: z.number().int().nullable(),
  eta_ms: z.number().nullable(),
  workers: z.number().int().describe('Workers that serve its model now; 0: it waits until one comes'),
})
export type QueueState = z.infer<typeof queueStateSchema>

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
    queue: queueStateSchema
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
    priority: z.number().int(),
    metadata: z.record(z.string(), z.string()),
    webhook: z
      .object({
        url: z.string(),
        events: z.array(webhookEventSchema),
        deliveries: z.array(deliverySchema).describe('Attempts so far, oldest first; at most the last 20'),
      })
      .nullable(),
    urls: z.object({ get: z.string(), events: z.string(), cancel: z.string() }),
  })
  .meta({ id: 'Job' })
export type Job = z.infer<typeof jobSchema>

/** One page of `GET /v1/jobs`, newest first. Jobs in a list carry no output: read the job for it. */
export const jobListSchema = z
  .object({
    object: z.literal('list'),
    data: z.array(jobSchema.omit({ output: true })),
    next_cursor: z
      .string()
      .nullable()
      .describe('Give it as `cursor` for the next page; null on the last one'),
  })
  .meta({ id: 'JobList' })
export type JobList = z.infer<typeof jobListSchema>
export type ItemOutput = z.infer<typeof itemOutputSchema>
