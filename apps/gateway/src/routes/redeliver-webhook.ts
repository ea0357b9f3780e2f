/** POST /v1/jobs/{id}/webhook/redeliver: tells how the job ended once more, from the first try on. */
import { createRoute } from '@hono/zod-openapi'
import { isTerminal, jobSchema, MillraceError } from '@millrace/contracts'
import type { GatewayContext, RequestContext } from '../context.js'
import { readStoredJob } from '../read-job.js'
import { storedJson } from '../stored-json.js'
import { jobParams, problems } from './answers.js'
import { deliveredJob } from './examples.js'
import { jobAnswer } from './submit-job.js'

export const redeliverWebhookRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/webhook/redeliver',
  tags: ['Jobs'],
  summary: 'Deliver the webhook of a settled job again',
  description: 'Under the same `webhook-id` as before, so that a receiver knows what it has seen.',
  request: { params: jobParams },
  responses: {
    202: {
      description: 'It will be told',
      content: { 'application/json': { schema: jobSchema, example: deliveredJob } },
    },
    ...problems('unauthorized', 'forbidden', 'job_not_found', 'job_gone', 'no_webhook', 'queue_unavailable'),
  },
})

export function redeliverWebhook(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const job = await readStoredJob(c.req.param('id') ?? '', c.get('tenant').name, 'no_webhook', context)
    const event = isTerminal(job.status) && (`job.${job.status}` as const)
    if (!event || !job.webhook?.events.includes(event)) {
      throw new MillraceError('no_webhook', `The job '${job.id}' has no webhook, or nothing to tell it yet`)
    }
    await context.webhooks.redeliver({ job: job.id, run: job.run, event })
    return jobAnswer(c, 202, job.id, await storedJson(job, context))
  }
}
