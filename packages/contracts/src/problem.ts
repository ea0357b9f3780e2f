/** RFC 9457 problem details, the form of every error answer. */
import { z } from 'zod'
import { type ErrorCode, errorCodes } from './errors.js'

export const errorCodeSchema = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]])

export const problemSchema = z
  .object({
    type: z.string().describe('A URI reference that names the kind of problem: `urn:millrace:error:<code>`'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: errorCodeSchema,
    request_id: z.string(),
    retryable: z.boolean(),
    errors: z
      .array(z.object({ path: z.string(), code: errorCodeSchema, detail: z.string() }))
      .describe('Each field at fault, by its path in the body'),
  })
  .meta({ id: 'Problem' })

export type Problem = z.infer<typeof problemSchema>
