/**
 * Items to results: asks the cache once more, claims what is missing, joins what is being computed here or elsewhere,
 * and drives the batcher and the model with the rest. Knows content keys and inputs; knows nothing of jobs or BullMQ.
 */
import type { Batch, MicroBatcher } from '@millrace/batching'
import { encodeError, encodeVector } from '@millrace/cache'
import { MillraceError } from '@millrace/contracts'
import type { EncodedItem, LoadedModel } from '@millrace/model'
import { Canceled } from './canceled-jobs.js'
import type { Claims } from './claims.js'
import type { Emit } from './events.js'
import { GivenBack } from './given-back.js'

export interface ItemRequest {
  key: string
  input: string
  truncate: boolean
}

/** The forward pass that computed an item; one object per batch, so that its time is counted once. */
export interface ItemBatch {
  size: number
  predictMs: number
}

export interface ItemAnswer {
  bytes: Buffer
  via: 'hit' | 'joined' | 'computed'
  tokenizeMs: number
  batch: ItemBatch | null
}

interface Pending extends ItemRequest {
  answer: Promise<ItemAnswer>
  /** Requests that wait for it; where all of them are canceled, it is not computed any more. */
  wanted: number
  encoded: EncodedItem
  tokenizeMs: number
  busySinceMs: number
  resolve: (answer: ItemAnswer) => void
  reject: (error: unknown) => void
}

export interface ComputeItemsOptions {
  alias: string
  model: LoadedModel
  batcher: MicroBatcher<Pending>
  claims: Claims
  /** How long another worker's claim is waited for before we compute the item ourselves. */
  busyLimitMs: number
  now: () => number
  emit: Emit
  /** Called when a batch left, and there may be room for more chunks. */
  onRoom: () => void
  /** Called when the model can no longer be run here. */
  onModelLost: (error: Error) => void
}

export type PendingItem = Pending

/** How often claims of others are looked at again: short beside a forward pass, long beside a round trip. */
const busyPollMs = 20

export class ItemComputer {
  readonly #options: ComputeItemsOptions
  /** By content key: what this worker is getting right now, so that two of its jobs never compute one item twice. */
  readonly #inFlight = new Map<string, Pending>()
  readonly #busy = new Set<Pending>()
  #batchesOut = 0
  #busyTimer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(options: ComputeItemsOptions) {
    this.#options = options
  }

  /** Real tokens that wait here for a model process. */
  get waitingTokens(): number {
    return this.#options.batcher.tokens
  }

  /**
   * One promise per request, in order. A promise rejects only with GivenBack, with Canceled, or when the model is lost.
   * @param options.signal set off, all of these requests reject with Canceled; what others wait for goes on
   * @param options.onSeen called once every item is in the batcher, answered or waited for: what they weigh is known then
   */
  compute(
    requests: readonly ItemRequest[],
    options: { signal: AbortSignal; onSeen?: () => void },
  ): Promise<ItemAnswer>[] {
    const fresh: Pending[] = []
    const wanted: Pending[] = []
    const answers = requests.map((request) => {
      const running = this.#inFlight.get(request.key)
      const pending = running ?? this.#pendingFor(request)
      if (!running) fresh.push(pending)
      wanted.push(pending)
      pending.wanted += 1
      return running ? pending.answer.then(asJoined) : pending.answer
    })
    this.#begin(fresh, requests.length - fresh.length)
      .catch((error) => {
        for (const pending of fresh) pending.reject(error)
      })
      .finally(options.onSeen)
    return this.#cancelable(answers, wanted, options.signal)
  }

  #pendingFor(request: ItemRequest): Pending {
    let resolve: Pending['resolve'] = () => {}
    let reject: Pending['reject'] = () => {}
    const answer = new Promise<ItemAnswer>((...both) => {
      ;[resolve, reject] = both
    })
    const encoded = { ids: new Int32Array() }
    const pending = { ...request, answer, wanted: 0, encoded, tokenizeMs: 0, busySinceMs: 0, resolve, reject }
    const forget = () => {
      if (this.#inFlight.get(request.key) === pending) this.#inFlight.delete(request.key)
    }
    answer.then(forget, forget)
    this.#inFlight.set(request.key, pending)
    return pending
  }

  #cancelable(
    answers: Promise<ItemAnswer>[],
    wanted: readonly Pending[],
    signal: AbortSignal,
  ): Promise<ItemAnswer>[] {
    const canceled = new Promise<never>((_, reject) => {
      const cancel = () => {
        reject(new Canceled())
        this.#unwant(wanted)
      }
      if (signal.aborted) cancel()
      else signal.addEventListener('abort', cancel, { once: true })
      const done = () => signal.removeEventListener('abort', cancel)
      Promise.allSettled(answers).then(done, done)
    })
    canceled.catch(() => {})
    return answers.map((answer) => Promise.race([answer, canceled]))
  }

  /** Drops what nobody wants any more, where no model process has it yet. */
  #unwant(pendings: readonly Pending[]): void {
    for (const pending of pendings) pending.wanted -= 1
    const dropped = this.#options.batcher.remove(({ wanted }) => wanted === 0)
    for (const pending of this.#busy) {
      if (pending.wanted > 0) continue
      this.#busy.delete(pending)
      pending.reject(new Canceled())
    }
    for (const pending of dropped) pending.reject(new Canceled())
    void this.#options.claims.release(dropped.map(({ key }) => key))
    if (dropped.length > 0) this.#options.onRoom()
  }

  /** Gives back all that no model process has yet. Batches that are out finish and are stored. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#busyTimer)
    const waiting = this.#options.batcher.remove(() => true)
    const left = [...waiting, ...this.#busy]
    this.#busy.clear()
    for (const pending of left) pending.reject(new GivenBack())
    await this.#options.claims.release(waiting.map(({ key }) => key))
  }

  async #begin(fresh: Pending[], joined: number): Promise<void> {
    const { claims, emit, alias, now } = this.#options
    const states = await claims.take(fresh.map(({ key }) => key))
    let hits = 0
    let busy = 0
    for (const [i, pending] of fresh.entries()) {
      const found = states[i]
      if (found?.state === 'hit') {
        hits += 1
        pending.resolve({ bytes: found.value, via: 'hit', tokenizeMs: 0, batch: null })
      } else if (found?.state === 'busy') {
        busy += 1
        pending.busySinceMs = now()
        this.#waitForOther(pending)
      } else {
        this.#queue(pending)
      }
    }
    emit({
      type: 'items-looked-up',
      model: alias,
      hits,
      misses: fresh.length - hits - busy,
      joined: joined + busy,
    })
    this.#pump()
  }

  /** Tokenizes and hands to the batcher; an input the model cannot take is answered here. */
  #queue(pending: Pending): void {
    const { model, claims, batcher } = this.#options
    if (this.#stopping || pending.wanted === 0) {
      pending.reject(this.#stopping ? new GivenBack() : new Canceled())
      void claims.release([pending.key])
      return
    }
    const startedMs = performance.now()
    try {
      pending.encoded = { ids: model.tokenizer.encode(pending.input, { truncate: pending.truncate }) }
      pending.tokenizeMs = performance.now() - startedMs
      batcher.add(pending, pending.encoded.ids.length)
    } catch (error) {
      void claims.release([pending.key])
      if (error instanceof MillraceError) {
        const bytes = encodeError({ code: error.code, detail: error.message })
        pending.resolve({ bytes, via: 'computed', tokenizeMs: 0, batch: null })
      } else {
        pending.reject(error)
      }
    }
  }

  /** Keeps every model process busy with one batch and one more ready; never waits while one is idle. */
  #pump(): void {
    const { model, batcher } = this.#options
    while (this.#batchesOut < model.slots) {
      const batch = batcher.take()
      if (!batch) return
      this.#batchesOut += 1
      void this.#run(batch)
    }
  }

  async #run(batch: Batch<Pending>): Promise<void> {
    const { model, claims, onRoom, onModelLost, emit, alias } = this.#options
    const keys = batch.items.map(({ key }) => key)
    try {
      const { outcomes, predictMs } = await model
        .runBatch(batch.items.map(({ encoded }) => encoded))
        .finally(() => {
          this.#batchesOut -= 1
          this.#pump()
          onRoom()
        })
      const { realTokens, paddedTokens, reason } = batch
      emit({
        type: 'batch-done',
        model: alias,
        items: keys.length,
        realTokens,
        paddedTokens,
        predictMs,
        reason,
      })
      const results = outcomes.map((outcome) =>
        outcome.ok ? encodeVector(outcome.vector) : encodeError(outcome.error),
      )
      // Only answers are shared: a failure may be this worker's own.
      const answers = results.flatMap((value, i) => {
        const key = keys[i]
        return outcomes[i]?.ok && key !== undefined ? [{ key, value }] : []
      })
      await claims.settle(answers, keys)
      const ran: ItemBatch = { size: keys.length, predictMs }
      for (const [i, pending] of batch.items.entries()) {
        const bytes = results[i]
        if (!bytes) throw new Error(`the model answered ${results.length} of ${keys.length} items`)
        pending.resolve({ bytes, via: 'computed', tokenizeMs: pending.tokenizeMs, batch: ran })
      }
    } catch (error) {
      void claims.release(keys)
      for (const pending of batch.items) pending.reject(error)
      onModelLost(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #waitForOther(pending: Pending): void {
    this.#busy.add(pending)
    this.#busyTimer ??= setTimeout(() => this.#lookAgain(), busyPollMs)
  }

  /** Asks once for all items that others are computing; takes over what was let go. */
  async #lookAgain(): Promise<void> {
    const { claims, now, busyLimitMs } = this.#options
    const waiting = [...this.#busy]
    const states = await claims.take(waiting.map(({ key }) => key))
    for (const [i, pending] of waiting.entries()) {
      const found = states[i]
      if (!this.#busy.has(pending)) continue
      const patient = now() - pending.busySinceMs < busyLimitMs
      if (found?.state === 'busy' && patient) continue
      this.#busy.delete(pending)
      if (found?.state === 'hit') {
        pending.resolve({ bytes: found.value, via: 'joined', tokenizeMs: 0, batch: null })
      } else {
        this.#queue(pending)
      }
    }
    this.#pump()
    this.#busyTimer = undefined
    if (this.#busy.size > 0 && !this.#stopping) {
      this.#busyTimer = setTimeout(() => this.#lookAgain(), busyPollMs)
    }
  }
}

function asJoined(answer: ItemAnswer): ItemAnswer {
  return { bytes: answer.bytes, via: 'joined', tokenizeMs: 0, batch: null }
}
