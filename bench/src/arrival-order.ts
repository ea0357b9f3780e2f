/** What most servers do, to be measured against: the next items in the order they came, whatever their length. */
import type { Batch, Batcher, BatcherLimits } from '@millrace/batching'

export class ArrivalOrder<T> implements Batcher<T> {
  readonly #maxItems: number
  readonly #now: () => number
  #waiting: { item: T; tokens: number; addedAt: number }[] = []

  constructor({ maxItems }: Pick<BatcherLimits, 'maxItems'>, now: () => number) {
    this.#maxItems = maxItems
    this.#now = now
  }

  get size(): number {
    return this.#waiting.length
  }

  get tokens(): number {
    return sum(this.#waiting.map(({ tokens }) => tokens))
  }

  add(item: T, tokens: number): void {
    this.#waiting.push({ item, tokens, addedAt: this.#now() })
  }

  take(): Batch<T> | undefined {
    const taken = this.#waiting.splice(0, this.#maxItems)
    const [oldest] = taken
    if (oldest === undefined) return undefined
    const lengths = taken.map(({ tokens }) => tokens)
    return {
      items: taken.map(({ item }) => item),
      realTokens: sum(lengths),
      paddedTokens: Math.max(...lengths) * lengths.length,
      reason: this.#waiting.length > 0 ? 'items' : 'drained',
      waitedMs: this.#now() - oldest.addedAt,
    }
  }

  takeFull(): Batch<T> | undefined {
    return this.size > this.#maxItems ? this.take() : undefined
  }

  remove(match: (item: T) => boolean): T[] {
    const gone = this.#waiting.filter(({ item }) => match(item))
    this.#waiting = this.#waiting.filter(({ item }) => !match(item))
    return gone.map(({ item }) => item)
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
