/** The last line of a terminal, drawn over and over; elsewhere a line now and then. Shares stderr with the messages. */
import { type Screenlike, write } from '../command-io.js'

const drawMs = 200
const sayMs = 30_000
const clear = '\r\x1b[K'

export class ProgressLine {
  readonly #stream: Screenlike
  readonly #terminal: boolean
  readonly #timer: NodeJS.Timeout | undefined

  /** @param line what to show now */
  constructor(stream: Screenlike, line: () => string, options: { quiet: boolean }) {
    this.#stream = stream
    this.#terminal = stream.isTTY === true && !options.quiet
    if (options.quiet) return
    const show = () => {
      const text = line().slice(0, (stream.columns ?? 80) - 1)
      stream.write(this.#terminal ? `${clear}${text}` : `${line()}\n`)
    }
    this.#timer = setInterval(show, this.#terminal ? drawMs : sayMs)
    this.#timer.unref()
  }

  /** Text of its own lines, above the progress. */
  say(text: string): Promise<void> {
    return write(this.#stream, `${this.#terminal ? clear : ''}${text}`)
  }

  end(): void {
    clearInterval(this.#timer)
    if (this.#terminal) this.#stream.write(clear)
  }
}
