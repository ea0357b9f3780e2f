/**
 * Items to batches to the model: tokenized, batched, run, stored, answered. Every model process is kept busy with one batch
 * and one more ready; nothing waits while one is idle. Knows nothing of requests, and takes no claims: it ends them.
 */
import type { Batch, Batcher } from '@millrace/batching'
import { encodeError, encodeResult } from '@millrace/cache'
import { MillraceError } from '@millrace/contracts'
import { type BatchOutcome, batchesInHand, costOf, type EncodedItem, type LoadedModel } from '@millrace/model'
import { BatchClock } from './batch-clock.js'
import { BatchGrowth, wholeTextOf } from './batch-growth.js'
import type { Claims } from './claims.js'
import type { Emit } from './events.js'
import type { ItemInFlight } from './items-in-flight.js'
import { readBlobs } from './read-blobs.js'

/**
 * A full batch leaves up to so long before it is needed: nobody could join it, and to wake up once, for the batch that ends and for
 * the next one, takes less of the CPU. An item that comes later and is more urgent waits that much longer at most.
 */
const mostAheadMs = 100

export interface BatchRunnerOptions {
  alias: string
  model: LoadedModel
  batcher: Batcher<ItemInFlight>
  claims: Pick<Claims, 'settle' | 'release'>
  emit: Emit
  /** Called when items left the batcher, and there may be room for more chunks. */
  onRoom: () => void
  /** Called when the model can no longer be run here. */
  onModelLost: (error: Error) => void
}

export class BatchRunner {
  readonly #options: BatchRunnerOptions
  readonly #growing = new Set<BatchGrowth>()
  readonly #clock: BatchClock
  #batchesOut = 0
  #pumping = false
  #later: NodeJS.Timeout | undefined

  constructor(options: BatchRunnerOptions) {
    this.#options = options
    this.#clock = new BatchClock(Math.ceil(options.model.slots / batchesInHand), () => performance.now())
  }

  /** Real tokens that wait here for a model process. */
  get waitingTokens(): number {
    return this.#options.batcher.tokens
  }

  /** Milliseconds until a batch beyond those that are out is needed, less a lead (the clock's own unless given); 0: now. */
  neededInMs(leadMs?: number): number {
    // How long a text grows, nobody knows.
    return this.#options.model.follow ? 0 : this.#clock.waitMs(leadMs)
  }

  /** Hands an item to the batcher; one that the model cannot take is answered at once. */
  add(item: ItemInFlight): void {
    const { model, batcher } = this.#options
    const startedMs = performance.now()
    try {
      item.encoded = model.encode(item)
      item.tokenizeMs = performance.now() - startedMs
      batcher.add(item, costOf(item.encoded), item.priority)
    } catch (error) {
      this.#refuse(item, error)
    }
  }

  /** Gives the model what it needs, at the end of this turn: chunks that came together are seen one after the other. */
  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    process.nextTick(() => {
      this.#pumping = false
      this.#cut()
    })
  }

  /** What the model needs now, and what is full; the rest is cut later, with those who come until then. */
  #cut(): void {
    const { model, batcher } = this.#options
    clearTimeout(this.#later)
    while (this.#batchesOut < model.slots && batcher.size > 0) {
      const waitMs = this.neededInMs()
      const batch = waitMs === 0 ? batcher.take() : this.#fullAhead(waitMs)
      if (!batch) {
        this.#later = setTimeout(() => this.#cut(), waitMs)
        return
      }
      this.#batchesOut += 1
      void this.#run(batch)
    }
  }

  #fullAhead(waitMs: number): Batch<ItemInFlight> | undefined {
    return waitMs <= mostAheadMs ? this.#options.batcher.takeFull() : undefined
  }

  /** Abandons what grows in a model process and `match` fits: it ends there within a step or two. */
  dropGrowing(match: (item: ItemInFlight) => boolean, why: Error): void {
    for (const growth of this.#growing) growth.abandon(match, why)
  }

  /** Abandons what no model process has yet and `match` fits. Resolves when its claims are released. */
  async drop(match: (item: ItemInFlight) => boolean, why: Error): Promise<void> {
    const dropped = this.#options.batcher.remove(match)
    if (dropped.length === 0) return
    for (const item of dropped) item.abandon(why)
    const released = this.#options.claims.release(dropped.map(({ key }) => key))
    this.#options.onRoom()
    await released
  }

  async #run(batch: Batch<ItemInFlight>): Promise<void> {
    // Nothing is awaited for a text: its batch leaves in this turn.
    if (batch.items.every(({ blobs }) => blobs.length === 0)) {
      return this.#compute(
        batch,
        batch.items,
        batch.items.map(({ encoded }) => encoded),
      )
    }
    const items: ItemInFlight[] = []
    const encoded: EncodedItem[] = []
    for (const one of await readBlobs(batch.items, this.#options.model)) {
      if ('fault' in one) this.#refuse(one.item, one.fault)
      else {
        items.push(one.item)
        encoded.push(one.encoded)
      }
    }
    if (items.length > 0) return this.#compute(batch, items, encoded)
    this.#leave()
  }

  /** An item that cannot be computed, whose claim is ours: its own failure, or that of this worker. */
  #refuse(item: ItemInFlight, fault: unknown): void {
    void this.#options.claims.release([item.key])
    // Redis being away says nothing of the item: its chunk is tried again.
    if (!(fault instanceof MillraceError) || fault.code === 'queue_unavailable') {
      item.abandon(fault)
      return
    }
    const bytes = encodeError({ code: fault.code, detail: fault.message })
    item.finish({ bytes, via: 'computed', tokenizeMs: 0, batch: null })
  }

  #leave(): void {
    this.#batchesOut -= 1
    this.pump()
    this.#options.onRoom()
  }

  /** One forward pass; the next one leaves before what it gave is looked at. */
  async #pass(
    encoded: readonly EncodedItem[],
    area: number,
    growth: BatchGrowth | undefined,
  ): Promise<BatchOutcome> {
    const out = this.#clock.begin(area)
    let predictMs: number | undefined
    try {
      const outcome = await this.#options.model.runBatch(encoded, growth?.hooks)
      predictMs = outcome.predictMs
      return outcome
    } finally {
      if (growth) this.#growing.delete(growth)
      this.#clock.end(out, predictMs)
      this.#leave()
    }
  }

  async #compute(
    { realTokens, paddedTokens, reason }: Batch<ItemInFlight>,
    items: readonly ItemInFlight[],
    encoded: readonly EncodedItem[],
  ): Promise<void> {
    const { model, claims, onModelLost, emit, alias } = this.#options
    const count = items.length
    const keys = items.map(({ key }) => key)
    const growth = model.follow && new BatchGrowth(items, model.follow)
    if (growth) this.#growing.add(growth)
    try {
      const { outcomes, predictMs } = await this.#pass(encoded, paddedTokens, growth)
      emit({ type: 'batch-done', model: alias, items: count, realTokens, paddedTokens, predictMs, reason })
      const results = outcomes.map((outcome, i) => resultOf(outcome, items[i], model))
      // Only answers are shared: a failure may be this worker's own.
      const answers = results.flatMap(({ bytes: value, shared }, i) => {
        const key = keys[i]
        return shared && key !== undefined ? [{ key, value }] : []
      })
      await claims.settle(answers, keys)
      const pass = { size: count, predictMs }
      for (const [i, item] of items.entries()) {
        const result = results[i]
        if (!result) throw new Error(`the model answered ${results.length} of ${count} items`)
        if (result.text !== undefined) item.grow(result.text)
        item.finish({ bytes: result.bytes, via: 'computed', tokenizeMs: item.tokenizeMs, batch: pass })
      }
    } catch (error) {
      for (const item of items) item.abandon(error)
      void claims.release(keys)
      onModelLost(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

interface Result {
  bytes: Buffer
  /** Whether whoever asks for the same gets it. */
  shared: boolean
  /** All of it, where the item grew. */
  text: string | undefined
}

function resultOf(
  outcome: BatchOutcome['outcomes'][number],
  item: ItemInFlight | undefined,
  model: LoadedModel,
): Result {
  if (!outcome.ok) return { bytes: encodeError(outcome.error), shared: false, text: undefined }
  if (item === undefined) throw new Error('the model answered more items than it was given')
  const result = model.resultOf(outcome.vector, item.encoded, item)
  const partial = result.kind === 'value' && result.partial === true
  const text = model.follow && wholeTextOf(result)
  return { bytes: encodeResult(result), shared: !partial && item.unshared !== true, text }
}
