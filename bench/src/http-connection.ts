/**
 * One keep-alive connection for the closed loop: one request at a time, one write each, and of an answer no more is read than
 * its status and its end. A whole HTTP client would take as much of the two cores as the gateway does, and its time would
 * count as the gateway's. Knows Content-Length only: an answer without it is an error.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Answer {
  status: number
  body(): string
}

const headEnd = Buffer.from('\r\n\r\n')

export class HttpConnection {
  readonly #socket: Socket
  readonly #host: string
  readonly #limitMs: number
  #received: Buffer[] = []
  /** Bytes of head and body together, once the head is in. */
  #awaited = 0
  #settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined

  private constructor(socket: Socket, host: string, limitMs: number) {
    this.#socket = socket
    this.#host = host
    this.#limitMs = limitMs
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#read(bytes))
    socket.on('error', (error) => this.#settle?.reject(error))
    socket.on('close', () => this.#settle?.reject(new Error('the gateway closed the connection')))
    socket.on('timeout', () => socket.destroy(new Error(`no answer within ${limitMs} ms`)))
  }

  /** @throws Error when nobody listens there */
  static async open(url: string, limitMs: number): Promise<HttpConnection> {
    const { hostname, port, host } = new URL(url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    return new HttpConnection(socket, host, limitMs)
  }

  /** To be awaited before the next. @throws Error when the connection ends or the limit passes */
  post(path: string, json: string, headers: string): Promise<Answer> {
    this.#received = []
    this.#awaited = 0
    this.#socket.setTimeout(this.#limitMs)
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      const length = Buffer.byteLength(json)
      this.#socket.write(
        `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-type: application/json\r\n${headers}content-length: ${length}\r\n\r\n${json}`,
      )
    })
  }

  close(): void {
    this.#settle = undefined
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    this.#received.push(bytes)
    const have = this.#received.reduce((sum, { length }) => sum + length, 0)
    if (this.#awaited === 0) {
      const length = wholeLength(Buffer.concat(this.#received))
      // Its end rejects what waits.
      if (length === undefined) this.#socket.destroy(new Error('an answer without Content-Length'))
      this.#awaited = length ?? 0
    }
    if (this.#awaited === 0 || have < this.#awaited) return
    const whole = this.#received
    this.#settle?.resolve({
      status: Number(whole[0]?.toString('latin1', 9, 12)),
      body: () => Buffer.concat(whole).toString(),
    })
    this.#settle = undefined
  }
}

/** Of head and body; 0 while the head is not whole, undefined where it does not say. */
function wholeLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf(headEnd)
  if (end < 0) return 0
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(bytes.toString('latin1', 0, end + 2))?.[1]
  return length === undefined ? undefined : end + headEnd.length + Number(length)
}
