/**
 * One batch on its way: which of its items have an outcome already, whatever parts it was cut into. Knows no process.
 */
import type { ItemError } from '@millrace/contracts'
import type { EncodedItem, RunHooks } from './engine.js'

export type ItemOutcome =
  | { readonly ok: true; readonly vector: Float32Array }
  | { readonly ok: false; readonly error: ItemError }

export interface BatchOutcome {
  /** One per item, in the order of the batch. */
  readonly outcomes: ItemOutcome[]
  /** Spent in forward passes that gave results. */
  readonly predictMs: number
}

/** Neighbouring items of one batch that share a forward pass. */
export interface Part {
  readonly batch: OpenBatch
  readonly items: readonly EncodedItem[]
  /** Place of the first of them in the batch. */
  readonly first: number
  /** How often a process ended while running a part that held these items. */
  readonly ended: number
}

export class OpenBatch {
  readonly #items: readonly EncodedItem[]
  readonly #hooks: RunHooks
  readonly #outcomes: ItemOutcome[] = []
  readonly #settle: { resolve: (outcome: BatchOutcome) => void; reject: (error: Error) => void }
  #left: number
  #predictMs = 0

  constructor(
    items: readonly EncodedItem[],
    settle: { resolve: (outcome: BatchOutcome) => void; reject: (error: Error) => void },
    hooks: RunHooks = {},
  ) {
    this.#items = items
    this.#hooks = hooks
    this.#left = items.length
    this.#settle = settle
  }

  parts(maxItems: number): Part[] {
    const size = Math.min(maxItems, this.#items.length)
    const parts: Part[] = []
    for (let first = 0; first < this.#items.length; first += size) {
      parts.push({ batch: this, items: this.#items.slice(first, first + size), first, ended: 0 })
    }
    return parts
  }

  /** The batch's hooks, as a part of it uses them: a part counts its places from 0. */
  hooksOf({ first }: Part): RunHooks {
    const { onTokens } = this.#hooks
    if (onTokens === undefined) return this.#hooks
    return { ...this.#hooks, onTokens: (place, at, ids) => onTokens(first + place, at, ids) }
  }

  succeed(part: Part, { vectors, predictMs }: { vectors: readonly Float32Array[]; predictMs: number }): void {
    this.#predictMs += predictMs
    vectors.forEach((vector, offset) => {
      this.#outcomes[part.first + offset] = { ok: true, vector }
    })
    this.#left -= part.items.length
    this.resolveIfDone()
  }

  /** @param part holds one item */
  fail(part: Part, error: ItemError): void {
    this.#outcomes[part.first] = { ok: false, error }
    this.#left -= part.items.length
    this.resolveIfDone()
  }

  resolveIfDone(): void {
    if (this.#left === 0) this.#settle.resolve({ outcomes: this.#outcomes, predictMs: this.#predictMs })
  }

  reject(error: Error): void {
    this.#settle.reject(error)
  }
}
