/** A job as it travels over HTTP: what is submitted and what is answered. */
import { z } from 'zod'
import type { Task } from './model.js'
import { errorCodeSchema } from './problem.js'
import { deliverySchema, webhookEventSchema, webhookSchema } from './webhook.js'

export const jobStatuses = ['queued', 'processing', 'succeeded', 'failed', 'canceled', 'expired'] as const
export type JobStatus = (typeof jobStatuses)[number]
export type TerminalStatus = Exclude<JobStatus, 'queued' | 'processing'>

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== 'queued' && status !== 'processing'
}

export const encodings = ['float', 'base64'] as const

export type Encoding = (typeof encodings)[number]

/**
 * Options of a job. Which of them fit is the task's matter (`optionsOfTask`). Only `truncate` decides a result, so only
 * it is part of the content key; the others decide how a result is written out.
 */
export const jobOptionsSchema = z
  .strictObject({
    truncate: z.boolean().default(false).describe('Cut an input that is too long instead of refusing it'),
    encoding: z
      .enum(encodings)
      .optional()
      .describe(
        'feature-extraction: `float` (default), a JSON array of numbers; `base64`, little-endian float32 bytes',
      ),
    top_k: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe(
        'text-classification: only so many labels, the best; all by default. fill-mask: so many candidates, at most 20; 5 by default',
      ),
    raw_scores: z
      .boolean()
      .optional()
      .describe("rerank: the model's own number instead of its sigmoid, which lies between 0 and 1"),
  })
  .meta({ id: 'JobOptions' })
export type JobOptions = z.infer<typeof jobOptionsSchema>

export const optionsOfTask = {
  'feature-extraction': ['truncate', 'encoding'],
  'text-classification': ['truncate', 'top_k'],
  rerank: ['truncate', 'raw_scores'],
  'fill-mask': ['truncate', 'top_k'],
} as const satisfies Record<Task, readonly (keyof JobOptions)[]>

/** Of a masked text so many candidates are computed and kept; `top_k` asks for no more. */
export const maxCandidates = 20

/** An input of a rerank model: how well does the text answer the query? */
export const queryAndTextSchema = z
  .strictObject({ query: z.string(), text: z.string() })
  .meta({ id: 'QueryAndText' })
export type QueryAndText = z.infer<typeof queryAndTextSchema>
export type JobInput = string | QueryAndText

const inputShapes = 'a string or, for a rerank model, { query, text }'

/** A client's own words about a job: kept beside it, answered with it, never looked into. */
export const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 16, { message: 'holds more than 16 entries' })
export type Metadata = z.infer<typeof metadataSchema>

const dayMs = 86_400_000
const maxNamedInputs = 32

/** An array of inputs. Its faults are counted: zod would name each of two million numbers, for seconds. */
const inputsSchema = z
  .array(z.unknown())
  .superRefine((inputs, context) => {
    for (let i = 0, named = 0; i < inputs.length && named < maxNamedInputs; i++) {
      if (isJobInput(inputs[i])) continue
      named += 1
      context.addIssue({ code: 'custom', path: [i], message: `Invalid input: expected ${inputShapes}` })
    }
  })
  .transform((inputs) => inputs as JobInput[])
  .meta({
    type: 'array',
    items: {
      anyOf: [
        { type: 'string' },
        {
          type: 'object',
          properties: { query: { type: 'string' }, text: { type: 'string' } },
          required: ['query', 'text'],
          additionalProperties: false,
        },
      ],
    },
  })

/** By hand: of an object with a million fields zod would name each. */
function isJobInput(input: unknown): input is JobInput {
  if (typeof input === 'string') return true
  if (typeof input !== 'object' || input === null || !('query' in input) || !('text' in input)) return false
  return typeof input.query === 'string' && typeof input.text === 'string' && Object.keys(input).length === 2
}

/** The shape only: how many items a job may hold is configuration, so the gateway checks that. */
export const submitJobSchema = z
  .strictObject({
    model: z.string().min(1).max(200).describe('An alias from `GET /v1/models`'),
    input: z
      .union([z.string(), queryAndTextSchema], { error: `Invalid input: expected ${inputShapes}` })
      .optional()
      .describe('One input; the output is then one result'),
    inputs: inputsSchema.optional().describe('Many inputs; the output is then an array in the same order'),
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

export const embeddingSchema = z
  .union([z.array(z.number()), z.string()])
  .describe('An array of numbers, or base64 of little-endian float32')

export const labelScoreSchema = z.object({ label: z.string(), score: z.number() }).meta({ id: 'LabelScore' })
export type LabelScore = z.infer<typeof labelScoreSchema>

/** What may stand in the place of the mask, in the words of transformers' FillMaskPipeline. */
export const candidateSchema = z
  .object({
    score: z.number().describe('Its share of 1 among all tokens of the model'),
    token: z.number().int(),
    token_str: z.string(),
    sequence: z.string().describe('The text with the mask filled, as the tokenizer reads it'),
  })
  .meta({ id: 'Candidate' })
export type Candidate = z.infer<typeof candidateSchema>

export const itemOutputSchema = z
  .union([
    embeddingSchema,
    z.array(labelScoreSchema),
    z.array(candidateSchema),
    z.object({ score: z.number() }).meta({ id: 'Score' }),
    itemErrorSchema,
  ])
  .describe(
    'feature-extraction: an embedding; text-classification: labels, best first; rerank: a score; fill-mask: candidates, best first; or the error of this item',
  )

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
