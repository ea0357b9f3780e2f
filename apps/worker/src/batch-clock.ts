/**
 * When the next batch is needed: at once while a model process is idle, else shortly before one that runs is expected to
 * end. What is cut earlier than that leaves without those who come in the meantime. Pure: the clock is passed in.
 */

/** A batch must be there when the one before it ends; its way to the model process takes about this long. */
const batchLeadMs = 2
/**
 * Of a slower pass so much is believed; a faster one is believed at once: a batch that is cut early costs less than a gap. Of a
 * small pass less, by its area: what it costs beside its tokens makes it slow, not the model.
 */
const slowerShare = 0.1
/** After a hundred small passes the large one before them counts for little. */
const forgets = 0.98

/** A batch that is out. */
export interface BatchOut {
  readonly area: number
  /** Unset while it is only ready. */
  startedMs: number | undefined
}

export class BatchClock {
  readonly #processes: number
  readonly #now: () => number
  /** Oldest first: the first ones run, one per process, the others are ready. */
  readonly #out: BatchOut[] = []
  #msPerToken: number | undefined
  /** Area of the largest pass of late. */
  #largest = 0

  /** @param now milliseconds, never set back */
  constructor(processes: number, now: () => number) {
    this.#processes = processes
    this.#now = now
  }

  /** A batch leaves. @param area its padded tokens */
  begin(area: number): BatchOut {
    const out: BatchOut = { area, startedMs: undefined }
    this.#out.push(out)
    this.#startReady()
    return out
  }

  /** It is back. @param predictMs what its forward pass took; absent where it gave no result */
  end(out: BatchOut, predictMs?: number): void {
    this.#out.splice(this.#out.indexOf(out), 1)
    this.#startReady()
    if (predictMs === undefined) return
    const found = predictMs / out.area
    const known = this.#msPerToken
    this.#largest = Math.max(out.area, this.#largest * forgets)
    const slower = (slowerShare * out.area) / this.#largest
    this.#msPerToken = known === undefined || found < known ? found : known + (found - known) * slower
  }

  /**
   * Milliseconds until a batch should leave; 0: now, also as long as nothing is known of the model's speed.
   * @param leadMs how long before a model process is free
   */
  waitMs(leadMs = batchLeadMs): number {
    const speed = this.#msPerToken
    if (this.#out.length < this.#processes || speed === undefined) return 0
    const free: number[] = []
    for (const { startedMs, area } of this.#out) {
      // One that is ready goes to the process that is free first.
      const beginsMs = startedMs ?? free.sort((a, b) => a - b).shift() ?? this.#now()
      free.push(beginsMs + area * speed)
    }
    return Math.max(0, Math.min(...free) - leadMs - this.#now())
  }

  #startReady(): void {
    for (const out of this.#out.slice(0, this.#processes)) out.startedMs ??= this.#now()
  }
}
