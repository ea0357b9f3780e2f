/** Requests: addresses, the key, one limit per attempt, and retries where they are safe. Knows no job. */
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Clock } from './clock.js'
import { MillraceConnectionError } from './errors.js'
import { limit } from './limit.js'
import { errorOf, unexpectedAnswer } from './problem.js'
import { type OnRetry, Retries } from './retries.js'

/** One attempt may take this long, and the wait it asks the server for on top. */
const attemptMs = 30_000
/** The server says something at least every 15 s: a stream that is silent for three times that is dead. */
const silenceMs = 45_000

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** Whether a second request after a lost answer does no more than the first alone. */
  readonly repeatable: boolean
  /** What the server is asked to wait, seconds. */
  readonly waitS?: number
  readonly signal?: AbortSignal | undefined
}

export interface Answer {
  readonly response: Response
  readonly json: unknown
}

export interface TransportOptions {
  readonly baseUrl: string
  readonly apiKey: string | undefined
  readonly fetch: typeof globalThis.fetch
  readonly retryForMs: number
  readonly onRetry: OnRetry
  readonly clock: Clock
}

export class Transport {
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #options: TransportOptions

  /** @throws TypeError when the address or the key cannot be used */
  constructor(options: TransportOptions) {
    const url = new URL(options.baseUrl)
    if (!/^https?:$/.test(url.protocol)) throw new TypeError('baseUrl must begin with http:// or https://')
    // Checked here because fetch would quote a key it cannot send, in an error that ends up in a log.
    if (options.apiKey !== undefined && !/^[\x21-\x7e]+$/.test(options.apiKey)) {
      throw new TypeError('apiKey is empty or holds characters that a header cannot carry')
    }
    this.#base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
    this.#headers = options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }
    this.#options = options
  }

  retries(): Retries {
    const { clock, retryForMs, onRetry } = this.#options
    return new Retries(clock, retryForMs, onRetry)
  }

  /** @throws MillraceApiError, MillraceConnectionError, the signal's reason */
  async call(call: Call): Promise<Answer> {
    const retries = this.retries()
    for (;;) {
      try {
        return await this.#attempt(call)
      } catch (error) {
        if (!call.repeatable) throw error
        await retries.pause(error, call.signal)
      }
    }
  }

  /**
   * One connection to an event stream, from its request to its end; no retry.
   * @param onAlive called whenever the server says anything, if only that it is still there
   * @throws MillraceApiError, MillraceConnectionError, the signal's reason
   */
  async *events(
    path: string,
    lastEventId: string | undefined,
    signal: AbortSignal,
    onAlive: () => void,
  ): AsyncGenerator<{ message: EventSourceMessage; response: Response }> {
    const silent = () => new MillraceConnectionError(`The event stream was silent for ${silenceMs} ms`)
    const headers = {
      accept: 'text/event-stream',
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    }
    const connection = new AbortController()
    const within = async <T>(work: Promise<T>): Promise<T> => {
      const { signal: bound, end } = limit(signal, silenceMs, silent)
      const abort = () => connection.abort(bound.reason)
      bound.addEventListener('abort', abort, { once: true })
      if (bound.aborted) abort()
      try {
        return await connected(work, bound)
      } finally {
        end()
      }
    }
    try {
      const response = await within(this.#send({ method: 'GET', path, headers }, connection.signal))
      if (!response.ok) throw errorOf(response, await within(response.text()))
      if (!/^text\/event-stream\b/.test(response.headers.get('content-type') ?? '') || !response.body) {
        throw unexpectedAnswer(response, 'no event stream')
      }
      const messages: EventSourceMessage[] = []
      const parser = createParser({ onEvent: (message) => messages.push(message) })
      const decoder = new TextDecoder()
      const reader = response.body.getReader()
      for (;;) {
        const { done, value } = await within(reader.read())
        if (done) return
        onAlive()
        parser.feed(decoder.decode(value, { stream: true }))
        for (const message of messages.splice(0)) yield { message, response }
      }
    } finally {
      connection.abort()
    }
  }

  async #attempt(call: Call): Promise<Answer> {
    const limitMs = attemptMs + (call.waitS ?? 0) * 1000
    const late = () => new MillraceConnectionError(`No answer within ${limitMs} ms`)
    const { signal, end } = limit(call.signal, limitMs, late)
    try {
      const response = await connected(this.#send(call, signal), signal)
      const text = await connected(response.text(), signal)
      if (!response.ok) throw errorOf(response, text)
      return { response, json: json(text, response) }
    } finally {
      end()
    }
  }

  #send(call: Omit<Call, 'repeatable'>, signal: AbortSignal): Promise<Response> {
    const { fetch } = this.#options // called bare: a browser's fetch refuses to be a method of anything else
    const headers: Record<string, string> = { accept: 'application/json', ...this.#headers, ...call.headers }
    // Of a form, fetch itself says the type, with the boundary that it chose.
    const form = call.body instanceof FormData ? call.body : undefined
    if (call.body !== undefined && !form) headers['content-type'] = 'application/json'
    return fetch(`${this.#base}${call.path}${queryText(call.query ?? {})}`, {
      method: call.method,
      headers,
      signal,
      ...(call.body === undefined ? {} : { body: form ?? JSON.stringify(call.body) }),
    })
  }
}

/** What goes wrong between here and the server is the signal's reason, or the connection's fault. */
async function connected<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw new MillraceConnectionError(`The connection failed: ${causeOf(error)}`, { cause: error })
  }
}

/** Node's fetch says only "fetch failed"; why is in the cause. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  return cause.message || ('code' in cause ? String(cause.code) : error.message)
}

function json(text: string, response: Response): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw unexpectedAnswer(response, 'the body is no JSON', error)
  }
}

function queryText(query: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}
