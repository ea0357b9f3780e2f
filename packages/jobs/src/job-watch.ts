/**
 * Jobs that somebody has to look at when nobody asks: their limit may pass with no worker up, and a crash may come
 * between their settling and their webhook. Whoever sweeps takes due ones under a lease, so that two never both do.
 */
import { reach } from '@millrace/redis'
import type { Redis } from 'ioredis'
import type { JobStore } from './job-store.js'

const key = 'mr:{watch}'

export class JobWatch {
  readonly #redis: Redis

  constructor(store: JobStore) {
    this.#redis = store.connection
  }

  /** Has the job looked at when `dueMs` has come; a later call moves it. @throws MillraceError queue_unavailable */
  async at(jobId: string, dueMs: number): Promise<void> {
    await reach(() => this.#redis.zadd(key, dueMs, jobId))
  }

  /** Due jobs, now this caller's for `leaseMs`. @throws MillraceError queue_unavailable */
  async takeDue(nowMs: number, leaseMs: number, count: number): Promise<string[]> {
    return reach(() => this.#redis.mrTakeWatched(key, nowMs, leaseMs, count))
  }

  /** Unless it was put on a new time since it was taken under this lease. @throws MillraceError queue_unavailable */
  async forget(jobId: string, leaseEndsMs: number): Promise<void> {
    await reach(() => this.#redis.mrForgetWatched(key, jobId, leaseEndsMs))
  }
}
