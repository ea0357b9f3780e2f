/** Everything a gateway has to say. Logic emits these; logs and metrics listen (see observe.ts). */
import type { CacheEvent } from '@millrace/cache'
import type { RedisEvent } from '@millrace/redis'

/** A version of a model, and who runs it. */
export interface VersionRun {
  version: string
  workers: string[]
}

export type GatewayEvent =
  | CacheEvent
  | RedisEvent
  | { type: 'items-looked-up'; model: string; lruHits: number; redisHits: number; misses: number }
  | { type: 'refused'; model: string; code: string; retryAfterS: number }
  | { type: 'job-accepted'; model: string; jobId: string; requestId: string; items: number; chunks: number }
  | { type: 'job-known'; model: string; jobId: string; requestId: string; items: number }
  | { type: 'job-rebuilt'; model: string; jobId: string; requestId: string }
  | { type: 'remember-failed'; jobId: string; error: Error }
  | { type: 'sample-failed'; error: Error }
  /** Workers run one model at more than one version; `versions-agree` once they no longer do. */
  | { type: 'versions-differ'; model: string; versions: VersionRun[] }
  | { type: 'versions-agree'; model: string; version: string }
  | { type: 'tokenizer-missing'; model: string; error: Error }
  | { type: 'request-failed'; requestId: string; method: string; path: string; error: unknown }
  | { type: 'settings-fault'; fault: string }

export type Emit = (event: GatewayEvent) => void
