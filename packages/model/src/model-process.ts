/**
 * One model process, from outside: starts it, hands it batches, knows which one is running and which is only ready,
 * kills it when a batch passes its time limit. Restarting and blame are process-pool.ts' matter.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import type { ItemError } from '@millrace/contracts'
import { childEnvironment, childNodeOptions } from './child-environment.js'
import type { EncodedItem, EngineFacts, EngineSpec, RunHooks } from './engine.js'
import {
  type FromModelProcess,
  packItems,
  type ToModelProcess,
  unpackVectors,
} from './model-process-messages.js'

/** One batch running and one ready: the next begins without a round trip, and little is redone after a crash. */
export const batchesInHand = 2
/** Messages that a dead process sent last are waited for this long. */
const lastWordsMs = 1000
const outputTail = 2000

export interface ModelProcessOptions {
  /** Absolute path or file URL of a module that exports `createEngine`. */
  readonly engineModule: string
  readonly spec: EngineSpec
  readonly loadTimeoutMs: number
  /** Counted from when the process can begin the batch, and anew from each token of an item that grows. */
  readonly batchTimeoutMs: number
}

export interface ProcessExit {
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly reason: 'crash' | 'timeout' | 'stopped'
  /** The end of what it wrote to stdout and stderr. */
  readonly output: string
}

/** The engine threw for this batch; the process is well. */
export class BatchFailed extends Error {
  override readonly name = 'BatchFailed'
  /** Set where an input of the batch is at fault. */
  readonly refused: ItemError | undefined
  constructor(message: string, refused?: ItemError) {
    super(message)
    this.refused = refused
  }
}

/** The process ended with this batch in hand. `running` is false for a batch that was only ready. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded'
  readonly exit: ProcessExit
  readonly running: boolean
  constructor(exit: ProcessExit, running: boolean) {
    super(`The model process ended (${exit.reason}, ${exit.signal ?? `code ${exit.code}`})`)
    this.exit = exit
    this.running = running
  }
}

export interface BatchResult {
  readonly vectors: Float32Array[]
  readonly predictMs: number
}

interface InHand {
  readonly batchId: number
  readonly resolve: (result: BatchResult) => void
  readonly reject: (error: Error) => void
  readonly onTokens: RunHooks['onTokens']
}

export class ModelProcess {
  readonly pid: number
  /** Resolves when the process is gone and every batch in hand was rejected. */
  readonly ended: Promise<ProcessExit>
  readonly #child: ChildProcess
  readonly #options: ModelProcessOptions
  /** Oldest first: the first is running, a second one is ready. */
  readonly #inHand: InHand[] = []
  #loading: { resolve: (loaded: Loaded) => void; reject: (error: Error) => void } | undefined
  #facts: EngineFacts = { dimensions: 0 }
  #loadMs = 0
  #privateGrowthBytes: number | null = null
  #timer: NodeJS.Timeout | undefined
  #reason: ProcessExit['reason'] = 'crash'
  #output = ''
  #alive = true
  #nextBatchId = 1

  private constructor(child: ChildProcess, pid: number, options: ModelProcessOptions) {
    this.#child = child
    this.pid = pid
    this.#options = options
    child.on('message', (message: FromModelProcess) => this.#onMessage(message))
    // A send that fails means that the process is gone; its end is handled once, below.
    child.on('error', () => {})
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-outputTail)
      })
    }
    this.ended = this.#untilEnded()
  }

  /**
   * @param signal kills the process while it loads
   * @throws Error when the process cannot be forked, ends, or has not loaded the model within its limit
   */
  static async start(options: ModelProcessOptions, signal: AbortSignal): Promise<ModelProcess> {
    const child = fork(entry(), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: childEnvironment(),
      execArgv: childNodeOptions,
    })
    if (child.pid === undefined) {
      throw await new Promise<Error>((resolve) => child.once('error', resolve))
    }
    const process = new ModelProcess(child, child.pid, options)
    const abort = () => process.kill()
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) process.kill()
    try {
      await process.#load()
      return process
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  get facts(): EngineFacts {
    return this.#facts
  }

  get loadMs(): number {
    return this.#loadMs
  }

  /** What loading added to the memory that the process can share with nobody; null where it cannot be told. */
  get privateGrowthBytes(): number | null {
    return this.#privateGrowthBytes
  }

  /** False from the moment it is killed or gone: it takes no more batches. */
  get alive(): boolean {
    return this.#alive
  }

  /** How many batches it has. */
  get busy(): number {
    return this.#inHand.length
  }

  /** @throws BatchFailed, ProcessEnded */
  run(batch: readonly EncodedItem[], { signal, onTokens }: RunHooks = {}): Promise<BatchResult> {
    const batchId = this.#nextBatchId++
    const end = () => this.#send({ type: 'end', batchId })
    const result = new Promise<BatchResult>((resolve, reject) => {
      this.#inHand.push({ batchId, resolve, reject, onTokens })
      this.#send({ type: 'run', batchId, ...packItems(batch) })
      if (this.#inHand.length === 1) this.#watchBatch(batchId)
    })
    if (signal === undefined) return result
    if (signal.aborted) end()
    signal.addEventListener('abort', end, { once: true })
    return result.finally(() => signal.removeEventListener('abort', end))
  }

  /** Resolves when the process is gone; kills it where it does not go by itself. Twice is fine. */
  async stop(limitMs: number): Promise<void> {
    if (this.#alive) this.#reason = 'stopped'
    this.#alive = false
    this.#send({ type: 'stop' })
    const timer = setTimeout(() => this.kill(), limitMs)
    await this.ended
    clearTimeout(timer)
  }

  kill(): void {
    this.#end('stopped')
  }

  #end(reason: ProcessExit['reason']): void {
    if (this.#alive) this.#reason = reason
    this.#alive = false
    this.#child.kill('SIGKILL')
  }

  async #load(): Promise<void> {
    const { engineModule, spec, loadTimeoutMs } = this.#options
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      this.#child.kill('SIGKILL')
    }, loadTimeoutMs)
    try {
      const loaded = await new Promise<Loaded>((resolve, reject) => {
        this.#loading = { resolve, reject }
        this.#send({ type: 'load', engineModule, spec })
      })
      this.#facts = loaded.facts
      this.#loadMs = loaded.loadMs
      this.#privateGrowthBytes = loaded.privateGrowthBytes
    } catch (error) {
      this.kill()
      await this.ended
      if (timedOut) throw new Error(`The model did not load within ${loadTimeoutMs} ms`)
      throw error
    } finally {
      clearTimeout(timer)
      this.#loading = undefined
    }
  }

  #onMessage(message: FromModelProcess): void {
    switch (message.type) {
      case 'loaded':
        this.#loading?.resolve(message)
        return
      case 'load-failed':
        this.#loading?.reject(new Error(`The model cannot be loaded: ${message.message}`))
        return
      case 'result': {
        const vectors = unpackVectors(message)
        this.#take(message.batchId)?.resolve({ vectors, predictMs: message.predictMs })
        return
      }
      case 'tokens': {
        const running = this.#inHand[0]
        if (running?.batchId !== message.batchId) return
        // It goes on, so it is not stuck.
        this.#timer?.refresh()
        running.onTokens?.(message.place, message.at, message.ids)
        return
      }
      case 'batch-failed':
        this.#take(message.batchId)?.reject(new BatchFailed(message.message, message.refused))
        return
    }
  }

  /** The answered batch leaves, and the clock of the next one starts. */
  #take(batchId: number): InHand | undefined {
    if (this.#inHand[0]?.batchId !== batchId) return undefined
    const done = this.#inHand.shift()
    clearTimeout(this.#timer)
    if (this.#inHand[0] !== undefined) this.#watchBatch(this.#inHand[0].batchId)
    return done
  }

  #watchBatch(batchId: number): void {
    this.#timer = setTimeout(() => {
      // An answer may have arrived while this thread was held up: it is read before an immediate runs.
      setImmediate(() => {
        if (this.#inHand[0]?.batchId === batchId) this.#end('timeout')
      })
    }, this.#options.batchTimeoutMs)
  }

  async #untilEnded(): Promise<ProcessExit> {
    const child = this.#child
    const lastWords = new AbortController()
    // 'exit' may come before the last messages are read; 'disconnect' comes after them.
    const disconnected = new Promise<void>((resolve) => child.once('disconnect', resolve))
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.once('exit', (exitCode, exitSignal) => resolve([exitCode, exitSignal])),
    )
    this.#alive = false
    const limit = delay(lastWordsMs, undefined, { signal: lastWords.signal }).catch(() => {})
    await Promise.race([disconnected, limit])
    lastWords.abort()
    clearTimeout(this.#timer)
    const exit: ProcessExit = {
      pid: this.pid,
      code,
      signal,
      reason: this.#reason,
      output: this.#output.trim(),
    }
    this.#loading?.reject(new Error(`The model process ended while loading. ${exit.output}`.trim()))
    this.#inHand.splice(0).forEach((batch, place) => {
      batch.reject(new ProcessEnded(exit, place === 0))
    })
    return exit
  }

  #send(message: ToModelProcess): void {
    this.#child.send(message, () => {})
  }
}

type Loaded = Extract<FromModelProcess, { type: 'loaded' }>

/** By package name, so that it is the built file also when this file runs from src (vitest). */
function entry(): string {
  return createRequire(import.meta.url).resolve('@millrace/model/model-process')
}
