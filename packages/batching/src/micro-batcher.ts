/**
 * Owns: which waiting items share the next forward pass. Pure: no Redis, no model, no timer; the clock is passed in.
 *
 * One item leads: the oldest of the most urgent, and in every eighth take the oldest of all, so that an item with n older
 * ones is taken by the 8(n+1)th take at the latest, whatever comes after it; by the (n+1)th where all are equally urgent.
 * The batch grows among the leader's neighbours by length, inside a window, while the padding this adds costs less than
 * the forward pass it saves.
 */

/**
 * What one forward pass costs beside its tokens, in tokens: the pass itself 2-4 (measured with the starter model on
 * one thread: 0.6 ms at 0.2 ms per token), its messages and bookkeeping 2. One neighbour may add no more padding.
 */
export const defaultPassTokens = 6

/** Every so many takes the oldest item leads, however urgent the others are. */
export const oldestLeadsEvery = 8

/** 0 is the most urgent. */
export const priorities = 10

/** No batch is padded beyond this share of its real tokens, whatever a pass costs. */
export const maxPaddingRatio = 1.25

export interface BatcherLimits {
  /** Padded token area, longest x count. One item alone may exceed it. */
  maxArea: number
  maxItems: number
  /** The window: so many items, the most urgent and then the oldest, are looked through for neighbours. */
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
  readonly priority: number
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

/** What a worker needs of a batcher: the benchmark puts another one in its place. */
export type Batcher<T> = Pick<MicroBatcher<T>, 'size' | 'tokens' | 'add' | 'take' | 'takeFull' | 'remove'>

function areaOf(cut: Cut): number {
  return cut.longest * (cut.hi - cut.lo + 1)
}

export class MicroBatcher<T> {
  readonly #limits: Required<BatcherLimits>
  readonly #now: () => number
  /** By priority; each oldest first. */
  readonly #waiting: Entry<T>[][] = Array.from({ length: priorities }, () => [])
  #added = 0
  #takes = 0
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
    return this.#waiting.reduce((sum, level) => sum + level.length, 0)
  }

  /** Real tokens waiting. */
  get tokens(): number {
    return this.#tokens
  }

  /**
   * @param priority 0 goes first
   * @throws RangeError when `tokens` is below 1 or there is no such priority
   */
  add(item: T, tokens: number, priority = 0): void {
    if (!(tokens >= 1)) throw new RangeError(`an item of ${tokens} tokens cannot be batched`)
    const level = this.#waiting[priority]
    if (level === undefined) throw new RangeError(`there is no priority ${priority}`)
    level.push({ item, tokens, priority, order: this.#added++, addedAt: this.#now() })
    this.#tokens += tokens
  }

  /** To be called when a model process has room. Never waits for company; undefined only when nothing waits. */
  take(): Batch<T> | undefined {
    return this.#take(() => true)
  }

  /** The same batch where it is full (`area`, `items`); undefined where one who comes might join it. */
  takeFull(): Batch<T> | undefined {
    const { maxArea, maxItems } = this.#limits
    // What waits could not fill one, however padded.
    if (this.#tokens * maxPaddingRatio <= maxArea && this.size <= maxItems) return undefined
    return this.#take(({ reason }) => reason === 'area' || reason === 'items')
  }

  #take(accepts: (cut: Pick<Batch<T>, 'reason'>) => boolean): Batch<T> | undefined {
    const leader = this.#leader()
    if (leader === undefined) return undefined
    const window = this.#window(leader)
    const cut = this.#grow(window, window.indexOf(leader))
    if (!accepts(cut)) return undefined
    this.#takes += 1
    const taken = window.slice(cut.lo, cut.hi + 1).sort((a, b) => a.order - b.order)
    this.#forget(new Set(taken))
    return {
      items: taken.map((entry) => entry.item),
      realTokens: cut.real,
      paddedTokens: areaOf(cut),
      reason: cut.reason,
      waitedMs: this.#now() - (taken[0] ?? leader).addedAt,
    }
  }

  /** Takes out all that match, oldest first. */
  remove(match: (item: T) => boolean): T[] {
    const removed = this.#waiting.flat().filter((entry) => match(entry.item))
    this.#forget(new Set(removed))
    return removed.sort((a, b) => a.order - b.order).map((entry) => entry.item)
  }

  #leader(): Entry<T> | undefined {
    const heads = this.#waiting.flatMap((level) => level[0] ?? [])
    const oldestsTurn = (this.#takes + 1) % oldestLeadsEvery === 0
    return oldestsTurn ? heads.sort((a, b) => a.order - b.order)[0] : heads[0]
  }

  /**
   * By length. Of equal ones those nearer to the leader come first in the queue, so that growing from the leader outwards
   * takes equals in the order of the queue.
   */
  #window(leader: Entry<T>): Entry<T>[] {
    const window = [leader]
    for (const level of this.#waiting) {
      for (const entry of level) {
        if (window.length >= this.#limits.lookahead) break
        if (entry !== leader) window.push(entry)
      }
    }
    const place = (entry: Entry<T>) => (entry === leader ? -1 : entry.priority * this.#added + entry.order)
    return window.sort((a, b) => {
      if (a.tokens !== b.tokens) return a.tokens - b.tokens
      return a.tokens < leader.tokens ? place(b) - place(a) : place(a) - place(b)
    })
  }

  /** From the leader outwards: always the neighbour that adds less padding, while there is one worth its place. */
  #grow(window: readonly Entry<T>[], leader: number): Cut & Pick<Batch<T>, 'reason'> {
    const tokens = window[leader]?.tokens ?? 0
    let cut: Cut = { lo: leader, hi: leader, longest: tokens, real: tokens, added: 0 }
    for (;;) {
      const { lo, hi, longest, real } = cut
      const shorter = window[lo - 1]?.tokens
      const longer = window[hi + 1]?.tokens
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

  #forget(gone: ReadonlySet<Entry<T>>): void {
    for (const [priority, level] of this.#waiting.entries()) {
      if (level.some((entry) => gone.has(entry)))
        this.#waiting[priority] = level.filter((entry) => !gone.has(entry))
    }
    for (const entry of gone) this.#tokens -= entry.tokens
  }
}
