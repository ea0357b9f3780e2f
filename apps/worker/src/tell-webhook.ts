/** Has the courier tell of an event. The queue of webhooks tells each once, however often it is said here. */
import type { WebhookEvent } from '@millrace/contracts'
import type { JobFacts, WebhookQueue } from '@millrace/jobs'
import type { Emit } from './events.js'

export interface TellWebhookContext {
  webhooks: Pick<WebhookQueue, 'add'>
  emit: Emit
}

/** Nothing where the job has no webhook for this event. Never throws: what a fault here leaves untold, a sweep finds. */
export async function tellWebhook(
  { id, webhook }: JobFacts,
  run: number,
  event: WebhookEvent,
  { webhooks, emit }: TellWebhookContext,
): Promise<void> {
  if (!webhook?.events.includes(event)) return
  await webhooks.add({ job: id, run, event }).catch((error: Error) => emit({ type: 'tell-failed', error }))
}
