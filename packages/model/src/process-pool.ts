/**
 * k model processes of one model as one place to send batches: least busy first, restart after an exit, and the search
 * for the one input that ends a process. Knows batches of ids; not jobs, texts or caches.
 *
 * Blame: the batch that was running when its process ended (or whose engine threw) is retried in halves until the
 * culprit is alone. An item that ended a process twice, the second time alone, fails; its batch mates succeed. A batch
 * that was only ready is run again whole. So an external kill -9 loses nothing.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, type ItemError, MillraceError } from '@millrace/contracts'
import type { EncodedItem, EngineFacts, RunHooks } from './engine.js'
import type { ModelEvent } from './events.js'
import {
  BatchFailed,
  batchesInHand,
  type ModelProcess,
  ProcessEnded,
  type ProcessExit,
} from './model-process.js'
import { type BatchOutcome, OpenBatch, type Part } from './open-batch.js'

const stopLimitMs = 2000

export interface PoolOptions {
  readonly processes: number
  /** Starts in a row that may fail before the pool gives up. */
  readonly startAttempts: number
  /** Pause before the nth start in a row without a batch done in between. */
  readonly backoffMs: (attempt: number) => number
  /** `signal`: nobody waits for this process any more. */
  readonly start: (signal: AbortSignal) => Promise<ModelProcess>
  readonly on: (event: ModelEvent) => void
}

interface Place {
  process: ModelProcess | undefined
  /** Exits and failed starts since the last batch that was done here. */
  troubles: number
}

export class ProcessPool {
  readonly #options: PoolOptions
  readonly #places: Place[]
  readonly #waiting: Part[] = []
  readonly #open = new Set<OpenBatch>()
  readonly #filling = new Set<Promise<void>>()
  readonly #halt = new AbortController()
  #maxItems = Number.POSITIVE_INFINITY
  #broken: Error | undefined
  #closing = false
  #closed: Promise<void> | undefined
  #drained: (() => void) | undefined

  private constructor(options: PoolOptions) {
    this.#options = options
    this.#places = Array.from({ length: options.processes }, () => ({ process: undefined, troubles: 0 }))
  }

  /** @throws Error when a process cannot be started `startAttempts` times in a row */
  static async start(options: PoolOptions): Promise<ProcessPool> {
    const pool = new ProcessPool(options)
    for (const place of pool.#places) pool.#refill(place)
    await Promise.all(pool.#filling)
    if (pool.#broken !== undefined) {
      await pool.close({ force: true })
      throw pool.#broken
    }
    return pool
  }

  get facts(): EngineFacts | undefined {
    return this.#places.find((place) => place.process !== undefined)?.process?.facts
  }

  get slots(): number {
    return this.#places.length * batchesInHand
  }

  pids(): number[] {
    return this.#places.flatMap((place) => (place.process === undefined ? [] : [place.process.pid]))
  }

  /** From now on no forward pass holds more items than this. */
  limitItems(maxItems: number): void {
    this.#maxItems = maxItems
  }

  /**
   * Never rejects for what an input does.
   * @throws MillraceError `shutting_down` once closed; Error when no model process can be started any more
   */
  run(batch: readonly EncodedItem[], hooks?: RunHooks): Promise<BatchOutcome> {
    if (this.#closing) return Promise.reject(stopping())
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    return new Promise((resolve, reject) => {
      const settle = {
        resolve: (outcome: BatchOutcome) => {
          this.#leave(open)
          resolve(outcome)
        },
        reject: (error: Error) => {
          this.#leave(open)
          reject(error)
        },
      }
      const open = new OpenBatch(batch, settle, hooks)
      this.#open.add(open)
      this.#waiting.push(...open.parts(this.#maxItems))
      open.resolveIfDone()
      this.#dispatch()
    })
  }

  /**
   * Waits for the batches in hand at most `limitMs` (not at all with `force`), then ends the processes. Twice is fine;
   * a later call with `force` hurries an earlier one.
   */
  close({ force = false, limitMs = 0 }: { force?: boolean; limitMs?: number } = {}): Promise<void> {
    this.#closing = true
    if (force) this.#abandon()
    this.#closed ??= this.#close(limitMs)
    return this.#closed
  }

  async #close(limitMs: number): Promise<void> {
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limitMs)
        this.#drained = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const processes = this.#places.flatMap((place) => place.process ?? [])
    const graceMs = this.#open.size === 0 ? stopLimitMs : 0
    this.#abandon()
    await Promise.all([...processes.map((process) => process.stop(graceMs)), ...this.#filling])
  }

  /** Nothing is started or waited for any more. */
  #abandon(): void {
    this.#halt.abort()
    this.#waiting.length = 0
    for (const open of [...this.#open]) open.reject(stopping())
    for (const { process } of this.#places) if (process !== undefined && process.busy > 0) process.kill()
  }

  #leave(open: OpenBatch): void {
    this.#open.delete(open)
    if (this.#open.size === 0) this.#drained?.()
  }

  #dispatch(): void {
    while (this.#waiting.length > 0) {
      const place = this.#leastBusy()
      if (place?.process === undefined) return
      const part = this.#waiting.shift()
      if (part !== undefined) void this.#hand(part, place, place.process)
    }
  }

  #leastBusy(): Place | undefined {
    let best: Place | undefined
    for (const place of this.#places) {
      if (place.process?.alive !== true || place.process.busy >= batchesInHand) continue
      if (best?.process === undefined || place.process.busy < best.process.busy) best = place
    }
    return best
  }

  async #hand(part: Part, place: Place, process: ModelProcess): Promise<void> {
    try {
      const result = await process.run(part.items, part.batch.hooksOf(part))
      place.troubles = 0
      part.batch.succeed(part, result)
    } catch (error) {
      if (!this.#halt.signal.aborted) this.#waiting.unshift(...this.#afterFailure(part, error))
    }
    this.#dispatch()
  }

  /** @returns what of the part is to be tried again */
  #afterFailure(part: Part, error: unknown): Part[] {
    if (error instanceof ProcessEnded) {
      if (!error.running) return [part]
      const blamed = { ...part, ended: part.ended + 1 }
      if (blamed.items.length > 1) return halves(blamed)
      if (blamed.ended < 2) return [blamed]
      this.#condemn(blamed, error)
      return []
    }
    if (part.items.length > 1) return halves(part)
    if (error instanceof BatchFailed && error.refused) {
      part.batch.fail(part, error.refused)
      return []
    }
    const detail = 'The model could not compute this input'
    const cause = error instanceof BatchFailed ? error.message : String(error)
    this.#options.on({ type: 'input-failed', tokens: part.items[0]?.ids.length ?? 0, message: cause })
    part.batch.fail(part, { code: 'inference_failed', detail })
    return []
  }

  #condemn(part: Part, { exit }: ProcessEnded): void {
    const tokens = part.items[0]?.ids.length ?? 0
    const size = tokens === 0 ? '' : ` (${tokens} tokens)`
    const code: ErrorCode = exit.reason === 'timeout' ? 'inference_timeout' : 'input_crashes_model'
    const error: ItemError =
      exit.reason === 'timeout'
        ? { code, detail: `Computing this input${size} passed its time limit twice` }
        : { code, detail: `This input${size} ended the model process twice` }
    this.#options.on({ type: 'input-crashed-model', tokens, reason: exit.reason, output: exit.output })
    part.batch.fail(part, error)
  }

  #refill(place: Place): void {
    const filling = this.#fill(place).finally(() => this.#filling.delete(filling))
    this.#filling.add(filling)
  }

  async #fill(place: Place): Promise<void> {
    let attempts = 0
    while (!this.#halt.signal.aborted) {
      if (place.troubles > 0 && !(await this.#pause(place.troubles))) return
      try {
        const process = await this.#options.start(this.#halt.signal)
        if (this.#halt.signal.aborted) return await process.stop(0)
        place.process = process
        void process.ended.then((exit) => this.#onExit(place, exit))
        const { pid, loadMs, privateGrowthBytes } = process
        this.#options.on({ type: 'process-ready', pid, loadMs, privateGrowthBytes })
        this.#dispatch()
        return
      } catch (error) {
        if (this.#halt.signal.aborted) return
        place.troubles++
        attempts++
        const cause = error instanceof Error ? error : new Error(String(error))
        this.#options.on({ type: 'process-start-failed', attempt: attempts, message: cause.message })
        if (attempts >= this.#options.startAttempts) this.#giveUp(attempts, cause)
      }
    }
  }

  async #pause(troubles: number): Promise<boolean> {
    const signal = this.#halt.signal
    return await delay(this.#options.backoffMs(troubles), true, { signal }).catch(() => false)
  }

  #onExit(place: Place, exit: ProcessExit): void {
    place.process = undefined
    place.troubles++
    this.#options.on({ type: 'process-exit', ...exit })
    if (!this.#halt.signal.aborted) this.#refill(place)
  }

  #giveUp(attempts: number, cause: Error): void {
    const broken = new Error(`The model process could not be started ${attempts} times: ${cause.message}`, {
      cause,
    })
    this.#broken ??= broken
    this.#halt.abort()
    this.#options.on({ type: 'gave-up', message: broken.message })
    this.#waiting.length = 0
    for (const open of [...this.#open]) open.reject(broken)
  }
}

function halves(part: Part): Part[] {
  const middle = Math.ceil(part.items.length / 2)
  return [
    { ...part, items: part.items.slice(0, middle) },
    { ...part, items: part.items.slice(middle), first: part.first + middle },
  ]
}

function stopping(): MillraceError {
  return new MillraceError('shutting_down', 'The model is being closed')
}
