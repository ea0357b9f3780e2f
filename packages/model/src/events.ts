/** What a loaded model tells its worker, for logs and metrics. Listeners may not change what happens. */
import type { ProcessExit } from './model-process.js'

export type ModelEvent =
  | { readonly type: 'process-ready'; readonly pid: number; readonly loadMs: number }
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
  | { readonly type: 'download'; readonly file: string; readonly bytes: number }
