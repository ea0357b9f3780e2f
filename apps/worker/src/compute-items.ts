/**
 * Items to results: joins what this worker is getting already, asks the cache once more, claims what is missing, waits for
 * what another worker computes, and has the rest computed. Knows content keys and inputs; knows nothing of jobs or BullMQ.
 */
import type { Batcher } from '@millrace/batching'
import type { LoadedModel } from '@millrace/model'
import { BatchRunner } from './batch-runner.js'
import type { Claims } from './claims.js'
import type { Emit } from './events.js'
import { GivenBack } from './given-back.js'
import {
  asJoined,
  type ItemAnswer,
  type ItemInFlight,
  type ItemRequest,
  ItemsInFlight,
  Unwanted,
} from './items-in-flight.js'
import { OthersClaims } from './others-claims.js'

export interface ComputeItemsOptions {
  alias: string
  model: LoadedModel
  batcher: Batcher<ItemInFlight>
  claims: Claims
  /** How long another worker's claim is waited for before we compute the item ourselves. */
  busyLimitMs: number
  now: () => number
  emit: Emit
  /** Called when items left the batcher, and there may be room for more chunks. */
  onRoom: () => void
  /** Called when the model can no longer be run here. */
  onModelLost: (error: Error) => void
}

export class ItemComputer {
  readonly #options: ComputeItemsOptions
  readonly #inFlight = new ItemsInFlight()
  readonly #batches: BatchRunner
  readonly #others: OthersClaims
  #stopping = false

  constructor(options: ComputeItemsOptions) {
    this.#options = options
    this.#batches = new BatchRunner(options)
    this.#others = new OthersClaims({
      claims: options.claims,
      limitMs: options.busyLimitMs,
      now: options.now,
      onOurs: (items) => this.#batch(items),
    })
  }

  /** Real tokens that wait here for a model process. */
  get waitingTokens(): number {
    return this.#batches.waitingTokens
  }

  /** Milliseconds until a batch beyond those that are out is needed, less a lead; 0: now. */
  neededInMs(leadMs: number): number {
    return this.#batches.neededInMs(leadMs)
  }

  /**
   * One promise per request, in order. A promise rejects only with GivenBack, with the signal's reason, or when the model is
   * lost.
   * @param options.signal set off, all of these requests reject at once; what others wait for goes on
   * @param options.onText called with the place of a request and all that is sure of its text, each time that grows
   * @param options.onSeen called once every item is in the batcher, answered or waited for: what they weigh is known then
   */
  compute(
    requests: readonly ItemRequest[],
    options: { signal: AbortSignal; onSeen?: () => void; onText?: (place: number, text: string) => void },
  ): Promise<ItemAnswer>[] {
    const wanted = requests.map((request) => this.#inFlight.want(request))
    if (options.onText && this.#options.model.follow) readAlong(wanted, options.onText, options.signal)
    const fresh = wanted.flatMap(({ item, fresh }) => (fresh ? item : []))
    this.#get(fresh, wanted.length - fresh.length)
      .catch((error) => {
        for (const item of fresh) item.abandon(error)
      })
      .finally(options.onSeen)
    return this.#untilAborted(wanted, options.signal)
  }

  /** Gives back what still grows in a model process. */
  endGrowing(): void {
    this.#batches.dropGrowing(() => true, new GivenBack())
  }

  /** Gives back all that no model process has yet. Batches that are out finish and are stored. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#others.stop()
    await this.#batches.drop(() => true, new GivenBack())
  }

  /** Looks the items up, claiming those that are missing, and sends each on its way. */
  async #get(items: readonly ItemInFlight[], alreadyInFlight: number): Promise<void> {
    const { claims, emit, alias } = this.#options
    if (items.length > 0 && items.every(({ claimed }) => claimed)) {
      claims.hold(items.map(({ key }) => key))
      emit({ type: 'items-looked-up', model: alias, hits: 0, misses: items.length, joined: alreadyInFlight })
      return this.#batch(items)
    }
    const states = await claims.take(items.map(({ key }) => key))
    const ours: ItemInFlight[] = []
    let hits = 0
    for (const [i, item] of items.entries()) {
      const found = states[i]
      if (found?.state === 'hit') {
        hits += 1
        item.finish({ bytes: found.value, via: 'hit', tokenizeMs: 0, batch: null })
      } else if (found?.state === 'busy') {
        this.#others.wait(item)
      } else {
        ours.push(item)
      }
    }
    const joined = alreadyInFlight + items.length - hits - ours.length
    emit({ type: 'items-looked-up', model: alias, hits, misses: ours.length, joined })
    this.#batch(ours)
  }

  /** Items whose claims are ours go to the model, but for those that need not be computed here any more. */
  #batch(items: readonly ItemInFlight[]): void {
    const unneeded: string[] = []
    for (const item of items) {
      if (item.wanted > 0 && !this.#stopping) {
        this.#batches.add(item)
      } else {
        item.abandon(this.#stopping ? new GivenBack() : new Unwanted())
        unneeded.push(item.key)
      }
    }
    void this.#options.claims.release(unneeded)
    this.#batches.pump()
  }

  #untilAborted(
    wanted: readonly { item: ItemInFlight; fresh: boolean }[],
    signal: AbortSignal,
  ): Promise<ItemAnswer>[] {
    const answers = wanted.map(({ item, fresh }) => (fresh ? item.answer : item.answer.then(asJoined)))
    const aborted = new Promise<never>((_, reject) => {
      const leave = () => {
        reject(signal.reason)
        for (const { item } of wanted) item.wanted -= 1
        const unwanted = (item: ItemInFlight) => item.wanted === 0
        void this.#batches.drop(unwanted, new Unwanted())
        this.#batches.dropGrowing(unwanted, new Unwanted())
      }
      if (signal.aborted) leave()
      else signal.addEventListener('abort', leave, { once: true })
      const stay = () => signal.removeEventListener('abort', leave)
      Promise.allSettled(answers).then(stay)
    })
    aborted.catch(() => {})
    return answers.map((answer) => Promise.race([answer, aborted]))
  }
}

/** One who joins hears first what is there already. */
function readAlong(
  wanted: readonly { item: ItemInFlight }[],
  onText: (place: number, text: string) => void,
  signal: AbortSignal,
): void {
  let gone = false
  signal.addEventListener('abort', () => (gone = true), { once: true })
  for (const [place, { item }] of wanted.entries()) {
    const read = (text: string) => {
      if (!gone) onText(place, text)
    }
    if (item.text !== '') read(item.text)
    item.readers.push(read)
  }
}
