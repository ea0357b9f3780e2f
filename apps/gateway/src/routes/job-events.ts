/**
 * GET /v1/jobs/{id}/events: a job as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 * What has happened is read from the job's record and its own stream; the subscription only says that there is more to read.
 */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createRoute } from '@hono/zod-openapi'
import { isTerminal, type JobEvent, MillraceError } from '@millrace/contracts'
import { knownJobJson, queueState } from '@millrace/job-view'
import {
  eventId,
  eventPlace,
  eventsAtOnce,
  isEventId,
  type KnownJob,
  type StoredEvent,
  type StoredJob,
  watchEvents,
} from '@millrace/jobs'
import { z } from 'zod'
import type { GatewayContext, RequestContext } from '../context.js'
import { EventWriter } from '../event-writer.js'
import { KnownResults } from '../known-results.js'
import { readJob } from '../read-job.js'
import { msToLimit, rereadMs } from '../settled-job.js'
import { storedJson } from '../stored-json.js'
import { jobParams, lastEventId, problems } from './answers.js'
import { exampleEvent } from './examples.js'

/** One event, as its lines say it. */
export const eventSchema = z.object({
  id: z.string().describe('Send it as `Last-Event-ID` to go on from here'),
  event: z.enum(['queued', 'started', 'progress', 'output', 'succeeded', 'failed', 'canceled', 'expired']),
  data: z.string().describe('JSON: see JobEvent in packages/contracts'),
})

export const jobEventsRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/events',
  tags: ['Jobs'],
  summary: 'Follow a job as server-sent events',
  description:
    '`queued` (position, eta), `started`, `progress`, `output` (what a generating model writes), then the terminal event with the whole job, which ends the ' +
    'stream. `Last-Event-ID` goes on from there. `: ping` every 15 s.',
  request: {
    params: jobParams,
    headers: z.object(lastEventId),
  },
  responses: {
    200: {
      description: 'The events',
      content: { 'text/event-stream': { schema: eventSchema, example: exampleEvent } },
    },
    204: { description: 'Nothing comes after this `Last-Event-ID`: an EventSource then stops asking' },
    ...problems(
      'invalid_request',
      'unauthorized',
      'forbidden',
      'job_not_found',
      'job_gone',
      'queue_unavailable',
    ),
  },
})

export function jobEvents(context: GatewayContext) {
  return async (c: RequestContext): Promise<Response> => {
    const job = await readJob(c.req.param('id') ?? '', c.get('tenant').name, context)
    return streamEvents(c, job, context)
  }
}

export function wantsEvents(c: RequestContext): boolean {
  return /(^|[,\s])text\/event-stream/i.test(c.req.header('accept') ?? '')
}

/** Of the one event of a job that was answered when it was submitted. */
const knownId = eventId(0, eventPlace.ended)

/** @throws MillraceError invalid_request for a `Last-Event-ID` that is none of ours */
export async function streamEvents(
  c: RequestContext,
  job: StoredJob | KnownJob,
  context: GatewayContext,
): Promise<Response> {
  const lastId = c.req.header('last-event-id')
  if (lastId !== undefined && !isEventId(lastId)) {
    throw new MillraceError('invalid_request', 'This Last-Event-ID is none of this stream')
  }
  if (lastId !== undefined && (await isLast(lastId, job, context))) return c.body(null, 204)
  const { outgoing } = c.env
  if (!outgoing) throw new Error('events need a server')
  const writer = new EventWriter(outgoing, { 'x-job-id': job.id }, context.stopping)
  follow(writer, job, lastId, context)
    .catch((error: unknown) => {
      const { method, path } = c.req
      context.emit({ type: 'request-failed', requestId: c.get('requestId'), method, path, error })
    })
    .finally(() => writer.end())
  return RESPONSE_ALREADY_SENT
}

/** Whether this was the terminal event. */
async function isLast(id: string, job: StoredJob | KnownJob, { store }: GatewayContext): Promise<boolean> {
  if (job.kind === 'known') return id === knownId
  return isTerminal(job.status) && (await store.eventsAfter(job, id)).length === 0
}

/** Resolves when the terminal event is written, or the client or this gateway goes. */
async function follow(
  writer: EventWriter,
  job: StoredJob | KnownJob,
  lastId: string | undefined,
  context: GatewayContext,
): Promise<void> {
  if (job.kind === 'known') {
    const results = await new KnownResults(context).of(job)
    writer.send({
      id: knownId,
      type: 'succeeded',
      data: knownJobJson(job, results, context.texts).toString(),
    })
    return
  }
  // No event is stored of its being queued, so that a job nobody follows costs none.
  const queuedId = eventId(job.run, eventPlace.queued)
  let at = lastId ?? queuedId
  if (lastId === undefined) writer.send({ id: queuedId, type: 'queued', data: queuedText(job, context) })
  const news = watchEvents(context.subscriber, job.id)
  try {
    await Promise.race([news.ready, writer.closed])
    for (let current = job; !writer.isClosed; ) {
      if (!isTerminal(current.status)) {
        const read = await readJob(job.id, job.tenant, context)
        if (read.kind === 'stored') current = read
      }
      const events = await context.store.eventsAfter(current, at)
      if (events.length === 0 && isTerminal(current.status)) return
      for (const event of events) {
        at = event.id
        writer.send({ id: event.id, ...(await written(event, current, context)) })
        if (isTerminalEvent(event)) return
      }
      // There may be more, and nobody says so again.
      if (events.length === eventsAtOnce) continue
      await Promise.race([news.next(Math.min(rereadMs, msToLimit(current, context.now()))), writer.closed])
    }
  } finally {
    news.stop()
  }
}

async function written(
  event: StoredEvent,
  job: StoredJob,
  context: GatewayContext,
): Promise<{ type: JobEvent['type']; data: string }> {
  const { type } = event
  if (type === 'started') {
    return { type, data: JSON.stringify({ started_at: new Date(job.startedAtMs ?? 0).toISOString() }) }
  }
  if (type === 'progress') {
    const total = job.slots.length
    return { type, data: JSON.stringify({ done: Math.min(total, itemsOf(job, event.slots)), total }) }
  }
  if (event.output !== undefined) return { type, data: JSON.stringify(event.output) }
  return { type, data: String(await storedJson(job, context)) }
}

function isTerminalEvent({ type }: StoredEvent): boolean {
  return type !== 'started' && type !== 'progress' && type !== 'output'
}

/** Slots done, as items: duplicates share a slot, so this is exact where there are none and else in proportion. */
function itemsOf(job: StoredJob, slots: number): number {
  return Math.floor((slots * job.slots.length) / Math.max(1, job.slotCount))
}

function queuedText(job: StoredJob, { fleet }: GatewayContext): string {
  const queue = queueState(fleet.model(job.model))
  const waits = job.status === 'queued'
  return JSON.stringify(waits ? queue : { ...queue, position: null, eta_ms: null })
}
