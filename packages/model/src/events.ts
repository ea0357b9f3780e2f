/** What a loaded model tells its worker, for logs and metrics. Listeners may not change what happens. */
import type { ProcessExit } from './model-process.js'

export type ModelEvent =
  | {
      readonly type: 'process-ready'
      readonly pid: number
      readonly loadMs: number
      /** What loading added to the memory that the process can share with nobody; null where it cannot be told. */
      readonly privateGrowthBytes: number | null
    }
  | ({ readonly type: 'process-exit' } & ProcessExit)
  | { readonly type: 'process-start-failed'; readonly attempt: number; readonly message: string }
  /** No process can be started any more: every further batch is rejected. */
  | { readonly type: 'gave-up'; readonly message: string }
  /** An input ended its process twice (`crash`) or passed the time limit twice (`timeout`). */
  | {
      readonly type: 'input-crashed-model'
      readonly tokens: number
      readonly reason: ProcessExit['reason']
      readonly output: string
    }
  /** The engine threw for one input alone. */
  | { readonly type: 'input-failed'; readonly tokens: number; readonly message: string }
  | {
      readonly type: 'self-test'
      /** Largest difference of any value of a vector, alone and in a mixed batch. */
      readonly difference: number
      readonly mode: 'batched' | 'one_at_a_time'
    }
  /** Every model process maps the same file. `found`: it was there already. */
  | {
      readonly type: 'weights-mapped'
      readonly bytes: number
      readonly prepacked: boolean
      readonly found: boolean
    }
  /** The plain file serves: each model process holds weights of its own. */
  | { readonly type: 'weights-not-mapped'; readonly why: string }
  /** A process holds more than mapped weights leave: they were made for another CPU, or are not mapped. */
  | {
      readonly type: 'weights-not-shared'
      readonly pid: number
      readonly privateGrowthBytes: number
      readonly boundBytes: number
      /** What it means and what can be done, for a person. */
      readonly why: string
    }
  /** Names of prepared models that nobody had used for a month, and are gone. */
  | { readonly type: 'weights-swept'; readonly removed: readonly string[] }
  | { readonly type: 'download'; readonly file: string; readonly bytes: number }
