/**
 * Jobs told ahead: where the fleet is idle and a client waits for one small input, the cache Redis tells a worker of it in
 * the step that finds it missing, with the claim in that worker's name. So it is computed while this gateway still writes
 * the record and queues the chunk, which a worker then passes over. Whatever becomes of it, the queue has the job as well.
 */
import type { Ask } from '@millrace/cache'
import { aheadChannel, encodeAhead, type JobFacts } from '@millrace/jobs'
import type { FleetView } from './fleet-view.js'

/** One that did not hear is gone, or away from the cache Redis: it is left alone for about as long as a lost one is listed. */
const deafMs = 10_000
/** Longer texts take so long to compute that the way there does not count. */
const mostChars = 4096

export class Ahead {
  readonly #fleet: Pick<FleetView, 'idleWorkers'>
  readonly #leaseMs: number
  readonly #now: () => number
  /** Until when a worker is not told of anything: for ever while this gateway waits for what it was told. */
  readonly #untilMs = new Map<string, number>()

  /** @param leaseMs of a claim in a worker's name, until it renews it */
  constructor(fleet: Pick<FleetView, 'idleWorkers'>, leaseMs: number, now: () => number) {
    this.#fleet = fleet
    this.#leaseMs = leaseMs
    this.#now = now
  }

  /** An errand to a worker with nothing to do, as far as this gateway knows; to be ended, told or not. */
  errand(model: string, input: string): Errand | undefined {
    if (input.length > mostChars) return undefined
    const nowMs = this.#now()
    const worker = this.#fleet.idleWorkers(model).find((id) => (this.#untilMs.get(id) ?? 0) <= nowMs)
    if (worker === undefined) return undefined
    this.#untilMs.set(worker, Number.POSITIVE_INFINITY)
    const freed = (heard: boolean) => {
      if (heard) this.#untilMs.delete(worker)
      else this.#untilMs.set(worker, this.#now() + deafMs)
    }
    return new Errand(worker, input, this.#leaseMs, freed)
  }
}

/** One job on its way to one worker. */
export class Errand {
  readonly #worker: string
  readonly #input: string
  readonly #leaseMs: number
  readonly #freed: (heard: boolean) => void
  #heard = true

  constructor(worker: string, input: string, leaseMs: number, freed: (heard: boolean) => void) {
    this.#leaseMs = leaseMs
    this.#worker = worker
    this.#input = input
    this.#freed = freed
  }

  /** What the cache is to tell the worker. @param facts called only where the result is not in this process */
  ask(facts: () => JobFacts): Ask {
    const items = [{ slot: 0, input: this.#input }]
    return {
      owner: this.#worker,
      // Its holder renews it every third of a lease; where it is stuck, the queue's other takers wait the less.
      leaseMs: this.#leaseMs / 2,
      channel: aheadChannel(this.#worker),
      message: (claimed) => encodeAhead({ facts: facts(), items, claimed }),
    }
  }

  /** Says that the worker did not listen. */
  unheard(): void {
    this.#heard = false
  }

  /** The worker can have another one. */
  end(): void {
    this.#freed(this.#heard)
  }
}
