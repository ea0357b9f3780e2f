/**
 * Jobs wait a moment for company while every worker has something to do: then it costs no time, and what is accepted
 * together crosses to Redis and to a worker as one. While the fleet is idle nobody waits.
 */

/** Short beside a batch; about what the answers of a batch take to come back as new requests. */
const gatherMs = 3

export class Gathering {
  #leaving: Promise<void> | undefined

  /** Resolves for all who join at one moment together. */
  async join(busy: boolean): Promise<void> {
    if (!busy) return
    this.#leaving ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#leaving = undefined
        resolve()
      }, gatherMs)
    })
    await this.#leaving
  }
}
