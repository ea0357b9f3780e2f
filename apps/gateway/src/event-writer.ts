/**
 * Owns: one open answer of server-sent events, written to Node's own response: hono's stream would not tell how much a
 * slow reader has left unread. Knows nothing of jobs.
 */
import type { ServerResponse } from 'node:http'

const pingMs = 15_000
/** A reader this far behind does not read: it is let go, and comes back with its Last-Event-ID. */
const maxUnreadBytes = 1 << 20

export interface WrittenEvent {
  id: string
  type: string
  /** One line of JSON. */
  data: string
}

type Outgoing = Pick<ServerResponse, 'write' | 'end' | 'destroy' | 'once'> & {
  writeHead(status: number, headers: Record<string, string>): unknown
  readonly writableLength: number
  readonly destroyed: boolean
}

export class EventWriter {
  readonly #outgoing: Outgoing
  readonly #ping: NodeJS.Timeout
  /** Resolves when the client is gone, or this gateway stops. */
  readonly closed: Promise<void>
  isClosed = false

  constructor(outgoing: Outgoing, headers: Record<string, string>, stopping: AbortSignal) {
    this.#outgoing = outgoing
    outgoing.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx would hold events back until its buffer is full.
      'x-accel-buffering': 'no',
    })
    outgoing.write(': millrace\n\n')
    this.closed = new Promise((resolve) => {
      const close = () => {
        this.isClosed = true
        resolve()
      }
      outgoing.once('close', close)
      // The client may have left before its stream began.
      if (stopping.aborted || outgoing.destroyed) close()
      else stopping.addEventListener('abort', close, { once: true })
      outgoing.once('close', () => stopping.removeEventListener('abort', close))
    })
    this.#ping = setInterval(() => this.#write(': ping\n\n'), pingMs)
  }

  send({ id, type, data }: WrittenEvent): void {
    this.#write(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`)
  }

  end(): void {
    clearInterval(this.#ping)
    this.#outgoing.end()
  }

  #write(text: string): void {
    if (this.isClosed) return
    if (this.#outgoing.writableLength > maxUnreadBytes) {
      this.#outgoing.destroy()
      return
    }
    this.#outgoing.write(text)
  }
}
