/** A job's events, in order and each once, across as many connections as it takes. */
import { type JobEvent, jobEventSchema } from '@millrace/contracts'
import type { EventSourceMessage } from 'eventsource-parser'
import { jobOf } from './answers.js'
import { MillraceConnectionError, MillraceTimeoutError } from './errors.js'
import { limit } from './limit.js'
import { unexpectedAnswer } from './problem.js'
import type { Transport } from './transport.js'

/** An event, and what to give as `lastEventId` to go on after it. */
export type StreamedEvent = JobEvent & { readonly id: string | undefined }

const terminal: readonly string[] = ['succeeded', 'failed', 'canceled', 'expired']
const known: readonly string[] = ['queued', 'started', 'progress', 'output', ...terminal]

/**
 * Ends after the terminal event, which carries the whole job. Leaving the loop early closes the connection.
 * @throws MillraceApiError, MillraceConnectionError, MillraceTimeoutError, the signal's reason
 */
export async function* streamJob(
  transport: Transport,
  id: string,
  options: { lastEventId: string | undefined; timeoutMs: number; signal: AbortSignal | undefined },
): AsyncGenerator<StreamedEvent, void, undefined> {
  const { timeoutMs } = options
  const { signal, end } = limit(options.signal, timeoutMs, () => new MillraceTimeoutError(timeoutMs, id))
  const path = `/v1/jobs/${encodeURIComponent(id)}/events`
  const retries = transport.retries()
  let { lastEventId } = options
  try {
    for (;;) {
      try {
        const messages = transport.events(path, lastEventId, signal, () => retries.reset())
        for await (const { message, response } of messages) {
          if (message.id !== undefined) lastEventId = message.id
          const event = eventOf(message, response, id)
          if (event !== undefined) yield { ...event, id: lastEventId }
          if (event !== undefined && terminal.includes(event.type)) return
          if (signal.aborted) throw signal.reason
        }
        throw new MillraceConnectionError('The event stream ended before the job did')
      } catch (error) {
        await retries.pause(error, signal)
      }
    }
  } finally {
    end()
  }
}

/** @returns undefined for a kind of event that this client is too old to know */
function eventOf(message: EventSourceMessage, response: Response, jobId: string): JobEvent | undefined {
  const type = message.event ?? 'message'
  if (!known.includes(type)) return undefined
  const data = dataOf(message, response)
  if (terminal.includes(type)) {
    const job = jobOf({ response, json: data }, jobId)
    if (job.status !== type) throw unexpectedAnswer(response, `a '${type}' event of a ${job.status} job`)
    return { type: job.status, data: job } as JobEvent
  }
  const event = jobEventSchema.safeParse({ type, data })
  if (!event.success) throw unexpectedAnswer(response, `a broken '${type}' event`, event.error)
  return event.data
}

function dataOf(message: EventSourceMessage, response: Response): unknown {
  try {
    return JSON.parse(message.data)
  } catch (error) {
    throw unexpectedAnswer(response, 'an event whose data is no JSON', error)
  }
}
