/** An HTTP server that answers what a test tells it to, and remembers what it was asked. For tests only. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ErrorCode, errorCodes, type Job, type JobStatus } from '@millrace/contracts'
import type { Clock } from '../clock.js'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

/** Writes the answer, or destroys the connection, or does nothing and lets the client wait. */
export type Reply = (response: ServerResponse, asked: Asked) => void | Promise<void>

export interface StandIn {
  readonly url: string
  readonly asked: Asked[]
  /** What the next requests are answered with, in order; the last one goes on for all that follow. */
  answer(...replies: Reply[]): void
  close(): Promise<void>
}

export async function standIn(): Promise<StandIn> {
  const asked: Asked[] = []
  let replies: Reply[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const one: Asked = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    asked.push(one)
    const reply = replies.length > 1 ? replies.shift() : replies[0]
    await reply?.(response, one)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answer: (...given) => {
      replies = given
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
}

export function problem(
  code: ErrorCode,
  headers: Record<string, string> = {},
  errors: { path: string; code: ErrorCode; detail: string }[] = [],
): Reply {
  const { status, title, retryable } = errorCodes[code]
  const body = {
    type: `urn:millrace:error:${code}`,
    title,
    status,
    detail: `what ${code} is about`,
    code,
    request_id: 'request-1',
    retryable,
    errors,
  }
  return json(status, body, { 'content-type': 'application/problem+json', ...headers })
}

/** The connection is cut; no answer at all. */
export const cut: Reply = (response) => {
  response.destroy()
}

export const silence: Reply = () => {}

/** Server-sent events as they are written, then the end of the stream, or a cut where one is asked for. */
export function events(lines: readonly string[], end: 'end' | 'cut' | 'open' = 'end'): Reply {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const text = lines.join('')
    if (end === 'end') response.end(text)
    else response.write(text, () => end === 'cut' && response.destroy())
  }
}

export function sse(id: number, event: string, data: unknown): string {
  return `event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`
}

export const jobId = '01900000-0000-7000-8000-000000000001'

export function job(status: JobStatus, more: Partial<Job> = {}): Job {
  const at = '2026-01-01T00:00:00.000Z'
  return {
    id: jobId,
    object: 'job',
    status,
    model: 'm',
    created_at: at,
    started_at: null,
    completed_at: null,
    expires_at: at,
    output: status === 'succeeded' ? [0.5] : null,
    error: null,
    progress: { done: status === 'succeeded' ? 1 : 0, total: 1 },
    queue: null,
    metrics: {
      queue_ms: null,
      tokenize_ms: null,
      predict_ms: null,
      batch_size: null,
      cache: { hits: 0, misses: 1, joined: 0 },
    },
    attempts: 0,
    priority: 0,
    metadata: {},
    webhook: null,
    urls: { get: '/', events: '/', cancel: '/' },
    ...more,
  }
}

/** Sleeps take no time, and are remembered; chance is always a half. */
export class QuickClock implements Clock {
  readonly slept: number[] = []
  #now = 0

  now(): number {
    return this.#now
  }

  random(): number {
    return 0.5
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    this.slept.push(ms)
    this.#now += ms
  }
}
