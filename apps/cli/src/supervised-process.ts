/**
 * One child process that is kept alive: started, watched until ready, started again when it ends by itself, stopped
 * when asked. Decisions are the restart policy's; it knows nothing of gateways, workers or Redis.
 */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { OnFleetEvent, OutputStream } from './fleet-event.js'
import { LaunchError } from './launch-error.js'
import type { RestartPolicy } from './supervise.js'

const lastWordsKept = 20
/** A grandchild may hold the output pipes open after its parent is gone; then we stop listening. */
const outputGraceMs = 500

export interface SupervisedOptions {
  readonly name: string
  /** Must give a `detached` child, the leader of a process group of its own. */
  readonly spawn: () => ChildProcess
  /** Resolves, with a few words for the user, when this child does its work. `signal` aborts when the child ends. */
  readonly untilReady: (child: ChildProcess, signal: AbortSignal) => Promise<string>
  readonly policy: RestartPolicy
  readonly stopTimeoutMs: number
  readonly now: () => number
  readonly on: OnFleetEvent
  /** Output that is only shown when the process fails. */
  readonly quiet?: boolean
}

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<void>
}

export class SupervisedProcess {
  readonly name: string
  /** Resolves when the process is ready for the first time; rejects with a LaunchError when it is given up. */
  readonly ready: Promise<void>
  readonly #options: SupervisedOptions
  readonly #onReady: () => void
  readonly #onGivenUp: (error: LaunchError) => void
  #run: Run | undefined
  #restart: NodeJS.Timeout | undefined
  #stopping = false

  constructor(options: SupervisedOptions) {
    this.name = options.name
    this.#options = options
    let onReady: () => void = () => {}
    let onGivenUp: (error: LaunchError) => void = () => {}
    this.ready = new Promise((resolve, reject) => {
      onReady = resolve
      onGivenUp = reject
    })
    // Whoever awaits `ready` hears of it; a process stopped before anyone asked must not end the launcher.
    this.ready.catch(() => {})
    this.#onReady = onReady
    this.#onGivenUp = onGivenUp
  }

  start(): void {
    if (this.#stopping || this.#run !== undefined) return
    const child = this.#options.spawn()
    const lastWords: string[] = []
    const heard = [this.#listen(child, 'stdout', lastWords), this.#listen(child, 'stderr', lastWords)]
    const over = new AbortController()
    const begunAt = this.#options.now()
    const exit = new Promise<{ code: number | null; ending: string }>((resolve) => {
      child.once('error', (error) => {
        lastWords.push(error.message)
        if (child.pid === undefined) resolve({ code: null, ending: 'could not be started' })
      })
      child.once('exit', (code, signal) =>
        resolve({ code, ending: signal === null ? `ended with status ${code}` : `was ended by ${signal}` }),
      )
    })
    const ended = exit.then(async ({ code, ending }) => {
      over.abort()
      signalGroup(child, 'SIGKILL') // what it started itself ends with it
      await Promise.race([Promise.all(heard), delay(outputGraceMs)])
      this.#run = undefined
      this.#afterEnd(code, ending, lastWords)
    })
    this.#run = { child, ended }
    this.#options.untilReady(child, over.signal).then(
      (detail) => {
        if (over.signal.aborted) return
        this.#options.policy.ready()
        this.#options.on({ type: 'ready', name: this.name, detail, tookMs: this.#options.now() - begunAt })
        this.#onReady()
      },
      (error: unknown) => {
        if (!over.signal.aborted) lastWords.push(String(error))
      },
    )
  }

  /** Stop twice is fine; `force` while a graceful stop is going on makes it short. Resolves when it is truly gone. */
  async stop(options: { force?: boolean } = {}): Promise<void> {
    const first = !this.#stopping
    this.#stopping = true
    clearTimeout(this.#restart)
    const run = this.#run
    if (run === undefined) return
    if (first) {
      this.#options.on({ type: 'stopping', name: this.name })
      run.child.kill('SIGTERM')
    }
    if (options.force) {
      signalGroup(run.child, 'SIGKILL')
      return run.ended
    }
    const limit = this.#options.stopTimeoutMs
    const kill = setTimeout(() => {
      this.#options.on({ type: 'killed', name: this.name, afterMs: limit })
      signalGroup(run.child, 'SIGKILL')
    }, limit)
    await run.ended
    clearTimeout(kill)
  }

  /** For the launcher's own sudden end: nothing may outlive it. Synchronous. */
  killNow(): void {
    this.#stopping = true
    if (this.#run !== undefined) signalGroup(this.#run.child, 'SIGKILL')
  }

  #afterEnd(code: number | null, ending: string, lastWords: readonly string[]): void {
    if (this.#stopping) return
    const verdict = this.#options.policy.ended(code)
    if (verdict.action === 'give_up') {
      const tail = lastWords.length > 0 ? ` Its last words:\n${lastWords.join('\n')}` : ''
      this.#stopping = true
      this.#onGivenUp(new LaunchError(`${this.name} ${ending}: ${verdict.reason}.${tail}`))
      return
    }
    const words = this.#options.quiet ? lastWords : []
    this.#options.on({
      type: 'restarting',
      name: this.name,
      ending,
      delayMs: verdict.delayMs,
      lastWords: words,
    })
    this.#restart = setTimeout(() => this.start(), verdict.delayMs)
  }

  /** Resolves when the stream has said everything. */
  #listen(child: ChildProcess, stream: OutputStream, lastWords: string[]): Promise<void> {
    const input = child[stream]
    if (input === null) return Promise.resolve()
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
    lines.on('line', (text) => {
      lastWords.push(text)
      if (lastWords.length > lastWordsKept) lastWords.shift()
      if (!this.#options.quiet) this.#options.on({ type: 'line', name: this.name, stream, text })
    })
    return new Promise((resolve) => lines.once('close', resolve))
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // Nobody of that group is left.
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
