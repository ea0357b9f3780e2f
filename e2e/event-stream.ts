/** A job's server-sent events, as any program reads them: parsed by a library that knows nothing of Millrace. */
import { type JobEvent, jobEventSchema } from '@millrace/contracts'
import { EventSourceParserStream } from 'eventsource-parser/stream'

export type ReadEvent = JobEvent & { id: string }

export interface EventStream {
  readonly status: number
  /** Each event is checked against the contract. Leaving the loop cuts the connection. */
  readonly events: AsyncIterable<ReadEvent>
}

const limitMs = 60_000

export async function openEvents(
  url: string,
  path: string,
  init: { headers?: Record<string, string>; method?: string; body?: string } = {},
): Promise<EventStream> {
  const connection = new AbortController()
  const response = await fetch(new URL(path, url), {
    ...init,
    headers: { accept: 'text/event-stream', ...init.headers },
    signal: AbortSignal.any([connection.signal, AbortSignal.timeout(limitMs)]),
  })
  return { status: response.status, events: read(response, connection) }
}

async function* read(response: Response, connection: AbortController): AsyncGenerator<ReadEvent> {
  try {
    const messages = response.body
      ?.pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
    for await (const { event, id, data } of messages ?? []) {
      yield { ...jobEventSchema.parse({ type: event, data: JSON.parse(data) }), id: id ?? '' }
    }
  } finally {
    connection.abort()
  }
}

/** All that come until the stream ends. */
export async function allOf({ events }: EventStream): Promise<ReadEvent[]> {
  const all: ReadEvent[] = []
  for await (const event of events) all.push(event)
  return all
}
