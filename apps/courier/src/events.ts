/** Everything a courier has to say. Logic emits these; logs and metrics listen (see observe.ts). */
import type { Delivery, WebhookEvent } from '@millrace/contracts'
import type { WebhookConsumerEvent } from '@millrace/jobs'

export type CourierEvent =
  | WebhookConsumerEvent
  | {
      type: 'webhook-tried'
      jobId: string
      requestId: string
      event: WebhookEvent
      webhookId: string
      origin: string
      attempt: number
      outcome: Delivery['outcome']
      statusCode: number | null
      error: string | null
      tookMs: number
      /** Until the next try; null when there is none. */
      nextMs: number | null
    }
  | { type: 'webhook-put-off'; jobId: string; origin: string; why: 'busy' | 'resting'; delayMs: number }
  | { type: 'webhook-dropped'; jobId: string; event: WebhookEvent; why: string }
  | { type: 'endpoint-rests'; origin: string }
  | { type: 'endpoint-works'; origin: string }
  | { type: 'job-expired'; jobId: string; requestId: string }
  | { type: 'sweep-failed'; error: Error }
  | { type: 'log-failed'; jobId: string; error: Error }
  | { type: 'settings-fault'; fault: string }
  | { type: 'courier-ready'; courierId: string }

export type Emit = (event: CourierEvent) => void
