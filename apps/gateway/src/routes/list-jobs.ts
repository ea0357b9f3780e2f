/** GET /v1/jobs: the tenant's own jobs, newest first. */
import { createRoute } from '@hono/zod-openapi'
import { jobListSchema, jobStatuses } from '@millrace/contracts'
import { viewOf } from '@millrace/job-view'
import { isCursor } from '@millrace/jobs'
import { z } from 'zod'
import type { GatewayContext, RequestContext } from '../context.js'
import { invalidRequest } from '../invalid-request.js'
import { expireIfLate } from '../read-job.js'
import { problems } from './answers.js'
import { jobList } from './examples.js'

const querySchema = z.object({
  status: z.enum(jobStatuses).optional().meta({ description: 'Only jobs of this status', example: 'failed' }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(100)
    .default(20)
    .meta({ description: 'Most jobs of one page', example: 20 }),
  cursor: z
    .string()
    .refine(isCursor, 'is none that was given by this list')
    .optional()
    .meta({
      description: '`next_cursor` of the page before',
      example: jobList.next_cursor ?? undefined,
    }),
})

export const listJobsRoute = createRoute({
  method: 'get',
  path: '/v1/jobs',
  tags: ['Jobs'],
  summary: 'List your jobs',
  description:
    'Without their outputs. Jobs that were answered at once from the cache are not listed. A page may be short, even ' +
    'empty, while `next_cursor` is not null.',
  request: { query: querySchema },
  responses: {
    200: {
      description: 'One page',
      content: { 'application/json': { schema: jobListSchema, example: jobList } },
    },
    ...problems('invalid_request', 'unauthorized', 'forbidden', 'queue_unavailable'),
  },
})

export function listJobs(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const parsed = querySchema.safeParse(c.req.query())
    if (!parsed.success) throw invalidRequest(parsed.error)
    const { jobs, next } = await context.list.page({ tenant: c.get('tenant').name, ...parsed.data })
    const current = await Promise.all(jobs.map((job) => expireIfLate(job, context)))
    const data = current.map((job) => viewOf(job, context.fleet.model(job.model)))
    return c.json({ object: 'list', data, next_cursor: next })
  }
}
