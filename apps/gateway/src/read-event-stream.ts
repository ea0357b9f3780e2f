/** For the tests of this app: reads server-sent events one by one. Knows nothing of jobs. */

export interface ReadEvent {
  id: string
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: JSON.parse's own type, what it holds is for the test to say
  data: any
}

export class EventStream {
  readonly response: Response
  readonly #reader: ReadableStreamDefaultReader<string>
  #text = ''

  constructor(response: Response) {
    if (!response.body) throw new Error(`no stream but ${response.status}`)
    this.response = response
    this.#reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  }

  /** The next event, or undefined at the end of the stream. Comments are passed over. */
  async next(): Promise<ReadEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const block = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        if (!block.startsWith(':')) return parse(block)
        continue
      }
      const { done, value } = await this.#reader.read()
      if (done) return undefined
      this.#text += value
    }
  }

  /** Up to the first event of this type, and with it; or up to the end. */
  async until(type: string): Promise<ReadEvent[]> {
    const events: ReadEvent[] = []
    for (;;) {
      const event = await this.next()
      if (event) events.push(event)
      if (!event || event.type === type) return events
    }
  }

  rest(): Promise<ReadEvent[]> {
    return this.until('no such type')
  }

  /** Goes away in the middle. */
  async leave(): Promise<void> {
    await this.#reader.cancel()
  }
}

function parse(block: string): ReadEvent {
  const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s, 2)))
  return { id: fields.id ?? '', type: fields.event ?? '', data: JSON.parse(fields.data ?? 'null') }
}
