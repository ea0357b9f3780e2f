/**
 * Owns: which waiting items share the next forward pass. Pure: no Redis, no model, no timer; the clock is passed in.
 *
 * The oldest item always leads, so an item with n older ones is taken by the (n+1)th take at the latest. Its batch
 * grows among its neighbours by length, inside a window of the oldest items, while the padding this adds costs less
 * than the forward pass it saves.
 */

/**
 * What one forward pass costs beside its tokens, in tokens: the pass itself 2-4 (measured with the starter model on
 * one thread: 0.6 ms at 0.2 ms per token), its messages and bookkeeping 2. One neighbour may add no more padding.
 */
export const defaultPassTokens = 6

/** No batch is padded beyond this share of its real tokens, whatever a pass costs. */
export const maxPaddingRatio = 1.25

export interface BatcherLimits {
  /** Padded token area, longest x count. One item alone may exceed it. */
  maxArea: number
  maxItems: number
  /** The window: so many of the oldest items are looked through for neighbours. */
  lookahead: number
  /** Fixed cost of a forward pass in tokens; more on hardware that gains more by batching. Default 6. */
  passTokens?: number
}

export interface Batch<T> {
  /** Oldest first. */
  items: T[]
  realTokens: number
  /** Longest x count. */
  paddedTokens: number
  /**
   * Why the cut fell here. `drained`: the window held no more; `padding`: what it held is too unlike in length;
   * `area`, `items`: the next neighbour would have passed that limit.
   */
  reason: 'area' | 'items' | 'drained' | 'padding'
  /** How long the oldest item of the batch waited here. */
  waitedMs: number
}

interface Entry<T> {
  readonly item: T
  readonly tokens: number
  readonly order: number
  readonly addedAt: number
}

/** The part `window[lo..hi]`, in order of length. */
interface Cut {
  lo: number
  hi: number
  longest: number
  real: number
  /** Padding that the last neighbour brought. */
  added: number
}

function areaOf(cut: Cut): number {
  return cut.longest * (cut.hi - cut.lo + 1)
}

export class MicroBatcher<T> {
  readonly #limits: Required<BatcherLimits>
  readonly #now: () => number
  /** The oldest items, by length and then by age. */
  #window: Entry<T>[] = []
  /** Everything younger than the window, oldest first, from `#head` on. */
  #later: Entry<T>[] = []
  #head = 0
  #added = 0
  #tokens = 0

  /** @throws RangeError when a limit is below 1 */
  constructor(limits: BatcherLimits, now: () => number) {
    const { maxArea, maxItems, lookahead, passTokens = defaultPassTokens } = limits
    if (!(maxArea >= 1 && maxItems >= 1 && lookahead >= 1 && passTokens >= 0)) {
      throw new RangeError('maxArea, maxItems and lookahead must be at least 1, passTokens at least 0')
    }
    this.#limits = { maxArea, maxItems, lookahead, passTokens }
    this.#now = now
  }

  get size(): number {
    return this.#window.length + this.#later.length - this.#head
  }

  /** Real tokens waiting. */
  get tokens(): number {
    return this.#tokens
  }

  /** @throws RangeError when `tokens` is below 1 */
  add(item: T, tokens: number): void {
    if (!(tokens >= 1)) throw new RangeError(`an item of ${tokens} tokens cannot be batched`)
    this.#later.push({ item, tokens, order: this.#added++, addedAt: this.#now() })
    this.#tokens += tokens
    this.#fillWindow()
  }

  /** To be called when a model process has room. Never waits for company; undefined only when nothing waits. */
  take(): Batch<T> | undefined {
    const anchor = this.#oldestIndex()
    const first = this.#window[anchor]
    if (first === undefined) return undefined
    const cut = this.#grow(anchor, first.tokens)
    const taken = this.#cutOut(cut).sort((a, b) => a.order - b.order)
    this.#tokens -= cut.real
    this.#fillWindow()
    return {
      items: taken.map((entry) => entry.item),
      realTokens: cut.real,
      paddedTokens: cut.longest * taken.length,
      reason: cut.reason,
      waitedMs: this.#now() - first.addedAt,
    }
  }

  /** Takes out all that match, oldest first. */
  remove(match: (item: T) => boolean): T[] {
    const removed: Entry<T>[] = []
    const keep = (entry: Entry<T>) => {
      if (!match(entry.item)) return true
      removed.push(entry)
      this.#tokens -= entry.tokens
      return false
    }
    this.#window = this.#window.filter(keep)
    this.#later = this.#later.slice(this.#head).filter(keep)
    this.#head = 0
    this.#fillWindow()
    return removed.sort((a, b) => a.order - b.order).map((entry) => entry.item)
  }

  #oldestIndex(): number {
    let oldest = -1
    let order = Number.POSITIVE_INFINITY
    for (const [index, entry] of this.#window.entries()) {
      if (entry.order >= order) continue
      oldest = index
      order = entry.order
    }
    return oldest
  }

  /** From the anchor outwards: always the neighbour that adds less padding, while there is one worth its place. */
  #grow(anchor: number, tokens: number): Cut & Pick<Batch<T>, 'reason'> {
    let cut: Cut = { lo: anchor, hi: anchor, longest: tokens, real: tokens, added: 0 }
    for (;;) {
      const { lo, hi, longest, real } = cut
      const shorter = this.#window[lo - 1]?.tokens
      const longer = this.#window[hi + 1]?.tokens
      if (shorter === undefined && longer === undefined) return { ...cut, reason: 'drained' }
      if (hi - lo + 1 >= this.#limits.maxItems) return { ...cut, reason: 'items' }

      const options: Cut[] = []
      if (shorter !== undefined) {
        options.push({ lo: lo - 1, hi, longest, real: real + shorter, added: longest - shorter })
      }
      if (longer !== undefined) {
        const added = (longer - longest) * (hi - lo + 1)
        options.push({ lo, hi: hi + 1, longest: longer, real: real + longer, added })
      }
      const [best, other] = options.filter((option) => this.#isWorthIt(option))
      if (best === undefined) return { ...cut, reason: 'padding' }
      const next: Cut = other !== undefined && other.added < best.added ? other : best
      if (areaOf(next) > this.#limits.maxArea) return { ...cut, reason: 'area' }
      cut = next
    }
  }

  #isWorthIt(cut: Cut): boolean {
    return cut.added <= this.#limits.passTokens && areaOf(cut) <= cut.real * maxPaddingRatio
  }

  /**
   * Removes the cut from the window. Where it ends among items of equal length on its short side, the oldest of them
   * go in place of the youngest: equals leave in the order they came.
   */
  #cutOut({ lo, hi }: Cut): Entry<T>[] {
    const shortest = this.#window[lo]?.tokens
    let firstEqual = lo
    while (firstEqual > 0 && this.#window[firstEqual - 1]?.tokens === shortest) firstEqual--
    let lastEqual = lo
    while (lastEqual < hi && this.#window[lastEqual + 1]?.tokens === shortest) lastEqual++
    const above = this.#window.splice(lastEqual + 1, hi - lastEqual)
    return [...this.#window.splice(firstEqual, lastEqual - lo + 1), ...above]
  }

  #fillWindow(): void {
    while (this.#window.length < this.#limits.lookahead) {
      const next = this.#later[this.#head]
      if (next === undefined) break
      this.#head++
      this.#window.splice(this.#placeOf(next), 0, next)
    }
    // Forget what has moved into the window, seldom enough to cost nothing per item.
    if (this.#head === this.#later.length || this.#head > 1024) {
      this.#later = this.#later.slice(this.#head)
      this.#head = 0
    }
  }

  /** After all that are shorter or equal: `entry` is younger than the whole window. */
  #placeOf(entry: Entry<T>): number {
    let lo = 0
    let hi = this.#window.length
    while (lo < hi) {
      const middle = (lo + hi) >> 1
      if ((this.#window[middle]?.tokens ?? 0) <= entry.tokens) lo = middle + 1
      else hi = middle
    }
    return lo
  }
}
