/**
 * The chunks in hand, each with a signal that ends its computing early: its job was canceled, or passed its limit. Knows
 * neither records nor items.
 */

export interface ChunkInHand {
  /** Set off with Canceled or PastLimit as its reason. */
  readonly signal: AbortSignal
  /** Sets the signal off after so many milliseconds. */
  endIn(ms: number): void
  /** To be called when the chunk has ended. Twice is fine. */
  release(): void
}

export class Canceled extends Error {
  override readonly name = 'Canceled'
  constructor() {
    super('the job was canceled')
  }
}

export class PastLimit extends Error {
  override readonly name = 'PastLimit'
  constructor() {
    super('the job passed its limit')
  }
}

export class ChunksInHand {
  readonly #byJob = new Map<string, Set<AbortController>>()

  take(jobId: string): ChunkInHand {
    const controller = new AbortController()
    const chunks = this.#byJob.get(jobId) ?? new Set()
    this.#byJob.set(jobId, chunks.add(controller))
    let limit: NodeJS.Timeout | undefined
    return {
      signal: controller.signal,
      endIn: (ms) => {
        limit = setTimeout(() => controller.abort(new PastLimit()), ms)
      },
      release: () => {
        clearTimeout(limit)
        if (chunks.delete(controller) && chunks.size === 0) this.#byJob.delete(jobId)
      },
    }
  }

  /** Sets off the signal of every chunk of this job that is in hand now. */
  cancel(jobId: string): void {
    for (const controller of this.#byJob.get(jobId) ?? []) controller.abort(new Canceled())
  }
}
