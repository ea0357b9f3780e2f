/** Everything a worker has to say. Logic emits these; logs and metrics listen (see observe.ts). */
import type { CacheEvent } from '@millrace/cache'
import type { BatchPolicy } from '@millrace/contracts'
import type { ConsumerEvent } from '@millrace/jobs'
import type { ModelEvent } from '@millrace/model'

export type WorkerEvent =
  | CacheEvent
  | ConsumerEvent
  | (ModelEvent & { model: string })
  | { type: 'items-looked-up'; model: string; hits: number; misses: number; joined: number }
  | {
      type: 'batch-done'
      model: string
      items: number
      realTokens: number
      paddedTokens: number
      predictMs: number
      reason: string
    }
  | {
      type: 'chunk-taken'
      model: string
      jobId: string
      chunk: number
      requestId: string
      items: number
      queueMs: number
    }
  | { type: 'chunk-stored'; model: string; jobId: string; chunk: number; requestId: string; failed: number }
  | {
      type: 'chunk-passed-over'
      model: string
      jobId: string
      chunk: number
      why: 'gone' | 'retried' | 'settled' | 'stored' | 'late' | 'canceled'
    }
  | { type: 'chunk-given-back'; model: string; jobId: string; chunk: number }
  | { type: 'chunk-failed'; model: string; jobId: string; chunk: number; lastAttempt: boolean; error: Error }
  | { type: 'job-settled'; model: string; jobId: string; requestId: string; status: string }
  | { type: 'tell-failed'; error: Error }
  | { type: 'announce-failed'; error: Error }
  | { type: 'settings-fault'; fault: string }
  /** How the batches of a model are cut, for a person and by number. */
  | ({ type: 'batch-policy'; model: string; says: string } & BatchPolicy)
  | { type: 'worker-ready'; models: string[]; loadMs: number }
  | { type: 'worker-stopping'; why: string }
  | { type: 'fatal'; why: string; error?: Error }

export type Emit = (event: WorkerEvent) => void
