/** The jobs in hand, each with a signal that a cancel sets off. Chunks of one job share it. */
interface InHand {
  controller: AbortController
  chunks: number
}

/** Why a chunk was not computed to its end: its job was canceled. */
export class Canceled extends Error {
  override readonly name = 'Canceled'
}

export class CanceledJobs {
  readonly #inHand = new Map<string, InHand>()

  /** To be released when the chunk has ended. */
  take(jobId: string): AbortSignal {
    const job = this.#inHand.get(jobId) ?? { controller: new AbortController(), chunks: 0 }
    this.#inHand.set(jobId, job)
    job.chunks += 1
    return job.controller.signal
  }

  release(jobId: string): void {
    const job = this.#inHand.get(jobId)
    if (!job) return
    job.chunks -= 1
    if (job.chunks === 0) this.#inHand.delete(jobId)
  }

  cancel(jobId: string): void {
    this.#inHand.get(jobId)?.controller.abort()
  }
}
