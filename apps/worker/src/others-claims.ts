/**
 * The items that other workers are computing now. They are asked for together, again and again, until each has its result
 * or becomes ours: its claim was let go, or was held for too long. Knows nothing of batches.
 */
import type { Claims } from './claims.js'
import { GivenBack } from './given-back.js'
import { asJoined, type ItemInFlight, Unwanted } from './items-in-flight.js'

export interface OthersClaimsOptions {
  claims: Pick<Claims, 'take'>
  /** How long another worker's claim is waited for. */
  limitMs: number
  now: () => number
  /** These are to be computed, or their claims released, by us now. */
  onOurs: (items: readonly ItemInFlight[]) => void
}

/** Short beside a forward pass, long beside a round trip. */
const askEveryMs = 20

export class OthersClaims {
  readonly #options: OthersClaimsOptions
  /** And since when each waits. */
  readonly #waiting = new Map<ItemInFlight, number>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(options: OthersClaimsOptions) {
    this.#options = options
  }

  wait(item: ItemInFlight): void {
    if (this.#stopped) {
      item.abandon(new GivenBack())
      return
    }
    this.#waiting.set(item, this.#options.now())
    this.#timer ??= setTimeout(() => this.#ask(), askEveryMs)
  }

  /** Gives back all that wait, and whoever would wait from now on. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const item of this.#waiting.keys()) item.abandon(new GivenBack())
    this.#waiting.clear()
  }

  async #ask(): Promise<void> {
    const { claims, now, limitMs, onOurs } = this.#options
    this.#dropUnwanted()
    const waiting = [...this.#waiting]
    const states = await claims.take(waiting.map(([{ key }]) => key))
    const ours: ItemInFlight[] = []
    for (const [i, [item, sinceMs]] of waiting.entries()) {
      const found = states[i]
      if (found?.state === 'busy' && now() - sinceMs < limitMs) continue
      this.#waiting.delete(item)
      if (found?.state === 'hit') item.finish(asJoined({ bytes: found.value }))
      else ours.push(item)
    }
    onOurs(ours)
    const more = this.#waiting.size > 0 && !this.#stopped
    this.#timer = more ? setTimeout(() => this.#ask(), askEveryMs) : undefined
  }

  #dropUnwanted(): void {
    for (const item of this.#waiting.keys()) {
      if (item.wanted > 0) continue
      this.#waiting.delete(item)
      item.abandon(new Unwanted())
    }
  }
}
