/**
 * THE path of a webhook, one try of it: read, wait one's turn, write, sign, send, decide, log. Every step is safe to
 * repeat: a crash anywhere costs at most a second message with the same webhook-id.
 */
import type { Delivery } from '@millrace/contracts'
import type { DeliveryLog, JobStore, StoredJob, WebhookData, WebhookTryEnd } from '@millrace/jobs'
import { type AddressGuard, type SendOutcome, sendWebhook, signWebhook } from '@millrace/webhooks'
import { type Decision, decide, healthOf } from './decide.js'
import type { EndpointGate } from './endpoint-gate.js'
import type { Emit } from './events.js'
import { messageBody, messageId } from './message.js'

/** Where a tenant's signing secrets come from: newest first, at least one. */
export interface WebhookSecrets {
  secretsOf(tenant: string): Promise<readonly string[]>
}

export interface DeliveryContext {
  store: Pick<JobStore, 'read'>
  log: Pick<DeliveryLog, 'append'>
  secrets: WebhookSecrets
  guard: AddressGuard
  gate: EndpointGate
  publicUrl: string
  /** Wait before each try; default: the real schedule. */
  delaysMs?: readonly number[] | undefined
  sendLimitMs?: number | undefined
  now: () => number
  /** In [0, 1). */
  random: () => number
  emit: Emit
}

/** One try as it went, for the steps after it. */
interface Try {
  data: WebhookData
  attempt: number
  job: StoredJob
  origin: string
  startedAtMs: number
  endedAtMs: number
  sent: SendOutcome
}

/** @param attempt from 1 @throws what Redis throws; the delivery is then tried again */
export async function deliverWebhook(
  data: WebhookData,
  attempt: number,
  stopping: AbortSignal,
  context: DeliveryContext,
): Promise<WebhookTryEnd> {
  // 1. The job, as it is now. Nothing is told of a job that nobody can read any more.
  const job = await context.store.read(data.job)
  if (job?.kind !== 'stored' || job.webhook === null) {
    const why = job === undefined ? 'the job is gone' : 'the job has no webhook'
    context.emit({ type: 'webhook-dropped', jobId: data.job, event: data.event, why })
    return { kind: 'give-up', reason: why }
  }

  // 2. A turn at its endpoint; without one, nothing is tried and nothing counted.
  const { origin } = new URL(job.webhook.url)
  const startedAtMs = context.now()
  const pass = context.gate.enter(origin, startedAtMs)
  if (pass.state !== 'free') {
    const { state: why, delayMs } = pass
    context.emit({ type: 'webhook-put-off', jobId: job.id, origin, why, delayMs })
    return { kind: 'later', delayMs }
  }

  // 3. Body, signature, and the send itself, which checks the address.
  let sent: SendOutcome | undefined
  try {
    sent = await send(job, job.webhook.url, data, stopping, context)
  } finally {
    leaveGate(origin, sent, startedAtMs, stopping, context)
  }

  // 4. Cut off because we stop: that is not the receiver's answer. Another courier tries again.
  if (stopping.aborted && sent.kind === 'failed') return { kind: 'give-back' }

  // 5. What the answer means, for the log and for the queue.
  const endedAtMs = context.now()
  const decision = decide(sent, attempt, {
    leftMs: job.expiresAtMs - endedAtMs,
    random: context.random(),
    delaysMs: context.delaysMs,
  })
  await tell({ data, attempt, job, origin, startedAtMs, endedAtMs, sent }, decision, context)
  if (decision.outcome === 'delivered') return { kind: 'done' }
  if (decision.outcome === 'given_up') return { kind: 'give-up', reason: saySent(sent) }
  return { kind: 'retry', delayMs: decision.delayMs, reason: saySent(sent) }
}

async function send(
  job: StoredJob,
  url: string,
  data: WebhookData,
  signal: AbortSignal,
  context: DeliveryContext,
): Promise<SendOutcome> {
  const secrets = await context.secrets.secretsOf(job.tenant)
  const nowMs = context.now()
  const body = messageBody(job, data.event, context.publicUrl, nowMs)
  const signed = signWebhook({ id: messageId(data), nowMs, body, secrets })
  return sendWebhook({
    guard: context.guard,
    url,
    headers: { 'content-type': 'application/json', ...signed },
    body,
    nowMs,
    signal,
    ...(context.sendLimitMs === undefined ? {} : { limitMs: context.sendLimitMs }),
  })
}

/** @param sent undefined where a fault of ours came first */
function leaveGate(
  origin: string,
  sent: SendOutcome | undefined,
  startedAtMs: number,
  stopping: AbortSignal,
  { gate, now, emit }: DeliveryContext,
): void {
  const health = sent === undefined || stopping.aborted ? 'none' : healthOf(sent)
  const nowMs = now()
  const change = gate.leave(origin, health, nowMs - startedAtMs, nowMs)
  if (change) emit({ type: change === 'rests' ? 'endpoint-rests' : 'endpoint-works', origin })
}

/** Into the job's log and to whoever listens. A log that fails must not have a delivered webhook told again. */
async function tell(one: Try, decision: Decision, { log, emit }: DeliveryContext): Promise<void> {
  const { data, attempt, job, origin, startedAtMs, endedAtMs, sent } = one
  const nextMs = decision.outcome === 'will_retry' ? decision.delayMs : null
  const delivery: Delivery = {
    webhook_id: messageId(data),
    event: data.event,
    attempt,
    at: new Date(startedAtMs).toISOString(),
    outcome: decision.outcome,
    status_code: sent.kind === 'answered' ? sent.statusCode : null,
    error: sent.kind === 'answered' ? null : sent.error,
    next_at: nextMs === null ? null : new Date(endedAtMs + nextMs).toISOString(),
  }
  await log.append(job.id, delivery, job.expiresAtMs - endedAtMs).catch((error: Error) => {
    emit({ type: 'log-failed', jobId: job.id, error })
  })
  emit({
    type: 'webhook-tried',
    jobId: job.id,
    requestId: job.requestId,
    event: data.event,
    webhookId: delivery.webhook_id,
    origin,
    attempt,
    outcome: delivery.outcome,
    statusCode: delivery.status_code,
    error: delivery.error,
    tookMs: endedAtMs - startedAtMs,
    nextMs,
  })
}

function saySent(sent: SendOutcome): string {
  return sent.kind === 'answered' ? `answered ${sent.statusCode}` : sent.error
}
