/** Webhooks as they travel: what a client registers, what a receiver gets, what a job says of its deliveries. */
import { z } from 'zod'

export const webhookEvents = [
  'job.started',
  'job.succeeded',
  'job.failed',
  'job.canceled',
  'job.expired',
] as const
export const webhookEventSchema = z.enum(webhookEvents)
export type WebhookEvent = z.infer<typeof webhookEventSchema>

/** Every way a job can end; who wants to hear of its start says so. */
export const terminalWebhookEvents = webhookEvents.filter((event) => event !== 'job.started')

/** The shape only: whether the address may be called is checked by the gateway and again at every send. */
export const webhookSchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).max(2048),
    events: z
      .array(webhookEventSchema)
      .min(1)
      .default([...terminalWebhookEvents])
      .describe('Default: every way a job can end'),
  })
  .meta({ id: 'Webhook' })
export type Webhook = z.infer<typeof webhookSchema>

/** One try to deliver one event. */
export const deliverySchema = z
  .object({
    webhook_id: z.string().describe('The `webhook-id` header: the same for every try of one event'),
    event: webhookEventSchema,
    attempt: z.number().int().describe('From 1'),
    at: z.iso.datetime(),
    outcome: z
      .enum(['delivered', 'will_retry', 'given_up'])
      .describe('`given_up`: the last try, a 410, or an address that may not be called'),
    status_code: z.number().int().nullable().describe("The receiver's answer; null where there was none"),
    error: z.string().nullable().describe('Why there was no answer'),
    next_at: z.iso.datetime().nullable().describe('When the next try is due'),
  })
  .meta({ id: 'Delivery' })
export type Delivery = z.infer<typeof deliverySchema>
