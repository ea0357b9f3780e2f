/**
 * Jobs told ahead: where the fleet is idle and a client waits for one small input, the cache Redis tells a worker of it in
 * the step that finds it missing, with the claim in that worker's name. So it is computed while this gateway still writes
 * the record and queues the chunk, which a worker then passes over. Whatever becomes of it, the queue has the job as well.
 */
import type { Ask } from '@millrace/cache'
import { aheadChannel, encodeAhead, type JobFacts } from '@millrace/jobs'
import type { FleetView } from './fleet-view.js'

/** Longer texts take so long to compute that the way there does not count. */
const mostChars = 4096

export class Ahead {
  readonly #fleet: Pick<FleetView, 'idleWorkers'>
  readonly #leaseMs: number
  /** Workers that were told of something this gateway waits for. */
  readonly #told = new Set<string>()

  /** @param leaseMs of a claim in a worker's name, until it renews it */
  constructor(fleet: Pick<FleetView, 'idleWorkers'>, leaseMs: number) {
    this.#fleet = fleet
    this.#leaseMs = leaseMs
  }

  /** An errand to a worker with nothing to do, as far as this gateway knows; to be ended, told or not. */
  errand(model: string, input: string): Errand | undefined {
    if (input.length > mostChars) return undefined
    const worker = this.#fleet.idleWorkers(model).find((id) => !this.#told.has(id))
    return worker === undefined ? undefined : new Errand(worker, input, this.#leaseMs, this.#told)
  }
}

/** One job on its way to one worker. */
export class Errand {
  readonly #worker: string
  readonly #input: string
  readonly #leaseMs: number
  readonly #told: Set<string>

  constructor(worker: string, input: string, leaseMs: number, told: Set<string>) {
    this.#leaseMs = leaseMs
    this.#worker = worker
    this.#input = input
    this.#told = told
    told.add(worker)
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

  /** The worker can have another one. */
  end(): void {
    this.#told.delete(this.#worker)
  }
}
