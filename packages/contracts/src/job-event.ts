/**
 * Server-sent events of a job (`GET /v1/jobs/{id}/events`): `event:` is the type, `data:` its JSON, `id:` what to send as
 * `Last-Event-ID` to go on from there. The last one is terminal, carries the whole job, and ends the stream.
 */
import { z } from 'zod'
import { jobSchema, queueStateSchema } from './job.js'

export const jobEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('queued'), data: queueStateSchema }),
  z.object({ type: z.literal('started'), data: z.object({ started_at: z.iso.datetime() }) }),
  z.object({
    type: z.literal('progress'),
    data: z.object({ done: z.number().int(), total: z.number().int() }),
  }),
  z.object({
    type: z.literal('output').describe('More of the text that a generating model writes'),
    data: z.object({
      index: z.number().int().describe('Which input; of inputs that are the same, the first'),
      start: z.number().int().describe('How many bytes of UTF-8 came before, so that a gap can be seen'),
      text: z.string(),
    }),
  }),
  z.object({ type: z.enum(['succeeded', 'failed', 'canceled', 'expired']), data: jobSchema }),
])
export type JobEvent = z.infer<typeof jobEventSchema>
