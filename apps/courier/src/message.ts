/** What a receiver gets: the message's id and its body. Pure. */
import { isTerminal, type WebhookEvent } from '@millrace/contracts'
import { ResultTexts, storedJobJson, viewOf } from '@millrace/job-view'
import type { StoredJob, WebhookData } from '@millrace/jobs'

/** Standard Webhooks: keep a body smaller than this, and say where the rest is. */
const bodyLimitBytes = 20_000
/** JSON text per result byte, at the very least: what is surely too long is not written out first. */
const textPerByte = 0.5
/** A place in the queue is of no use to somebody who hears of it later. */
const noQueue = { waiting: 0, chunksPerS: 0, workers: 0 }
const texts = new ResultTexts(0)

/** The same for every try of one event, also after a crash and on a redelivery: receivers drop what they know. */
export function messageId({ job, run, event }: WebhookData): string {
  return `msg_${job}_${run}_${event.slice('job.'.length)}`
}

/**
 * `{ type, timestamp, data: job }` with the job as it is now; `timestamp` is when the event happened. An output that
 * makes the body longer than 20 kB is left out, and `data.output_url` says where to read it.
 * @param publicUrl of the gateway, without a slash at its end; empty: `output_url` is a path
 */
export function messageBody(job: StoredJob, event: WebhookEvent, publicUrl: string, nowMs: number): string {
  const happenedAtMs = (event === 'job.started' ? job.startedAtMs : job.completedAtMs) ?? nowMs
  const timestamp = new Date(happenedAtMs).toISOString()
  const wrap = (data: string) => `{"type":"${event}","timestamp":"${timestamp}","data":${data}}`
  const view = { ...viewOf(job, noQueue), queue: null, output: null }
  if (!isTerminal(job.status)) return wrap(JSON.stringify(view))
  if (leastTextBytes(job) < bodyLimitBytes) {
    const body = wrap(storedJobJson(job, texts, noQueue).toString())
    if (Buffer.byteLength(body) < bodyLimitBytes) return body
  }
  return wrap(JSON.stringify({ ...view, output_url: `${publicUrl}/v1/jobs/${job.id}` }))
}

function leastTextBytes(job: StoredJob): number {
  let bytes = 0
  for (const slot of job.slots) bytes += job.outputs.get(slot)?.length ?? 0
  return bytes * textPerByte
}
