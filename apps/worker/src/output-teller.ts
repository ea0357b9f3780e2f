/**
 * Tells what a chunk's items have grown by, while they are computed: small pieces together, so that a fast model does not
 * keep Redis busy. One after the other and in order; a piece that cannot be told is no fault, for the result has it all.
 */
import type { OutputPiece } from '@millrace/jobs'

export interface OutputTellerOptions {
  everyMs: number
  /** Rejects where Redis is away. */
  tell: (piece: OutputPiece) => Promise<unknown>
}

interface Growing {
  text: string
  /** Characters and bytes told. */
  told: number
  toldBytes: number
}

export class OutputTeller {
  readonly #options: OutputTellerOptions
  readonly #slots = new Map<number, Growing>()
  #timer: NodeJS.Timeout | undefined
  #telling: Promise<void> = Promise.resolve()
  #ended = false

  constructor(options: OutputTellerOptions) {
    this.#options = options
  }

  /** @param text all of it so far; it goes on where what was told ends */
  hear(slot: number, text: string): void {
    if (this.#ended) return
    const known = this.#slots.get(slot) ?? { text: '', told: 0, toldBytes: 0 }
    this.#slots.set(slot, known)
    if (text.length <= known.text.length) return
    known.text = text
    this.#timer ??= setTimeout(() => void this.#flush(), this.#options.everyMs)
  }

  /** Tells what is left. Resolves when all was told, or could not be. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#flush()
  }

  /** Nothing more is told. Twice is fine. */
  drop(): void {
    this.#ended = true
    clearTimeout(this.#timer)
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#telling = this.#telling.then(() => this.#tellAll())
    return this.#telling
  }

  async #tellAll(): Promise<void> {
    this.#timer = undefined
    for (const [slot, growing] of this.#slots) {
      const text = growing.text.slice(growing.told)
      if (text === '') continue
      const start = growing.toldBytes
      growing.told += text.length
      growing.toldBytes += Buffer.byteLength(text)
      await this.#options.tell({ slot, start, text }).catch(() => {})
    }
  }
}
