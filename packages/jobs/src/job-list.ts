/**
 * Each tenant's jobs by age, for listing. Jobs answered in full at submit are not listed: their client holds the output,
 * and there may be thousands of them per second.
 */

import type { JobStatus } from '@millrace/contracts'
import { reach } from '@millrace/redis'
import type { Redis } from 'ioredis'
import type { JobStore } from './job-store.js'
import { type JobFacts, recordLifeMs, type StoredJob, unsettledLifeMs } from './record.js'
import { Together } from './together.js'

export interface ListQuery {
  tenant: string
  status?: JobStatus | undefined
  limit: number
  /** `next` of the page before. */
  cursor?: string | undefined
}

/** A job, and when it was added. */
interface Added {
  readonly job: JobFacts
  readonly nowMs: number
}

export interface ListPage {
  /** Newest first, without their outputs. */
  jobs: StoredJob[]
  /** Null on the last page. */
  next: string | null
}

/** Lua hands on a few thousand arguments at most. */
const mostAtOnce = 1000
/** A page that looks for a rare status ends here all the same, perhaps short, and its cursor goes on. */
const maxLookedAt = 1000
const cursorForm = /^[0-9a-f]{12}:[0-9a-f-]{36}$/

export class JobList {
  readonly #store: JobStore
  readonly #redis: Redis
  readonly #together: Together<Added, undefined>

  constructor(store: JobStore) {
    this.#store = store
    this.#redis = store.connection
    this.#together = new Together((added) => this.#indexAll(added), mostAtOnce)
  }

  /** Adding a job again changes nothing. @throws MillraceError queue_unavailable, queue_memory */
  add(job: JobFacts, nowMs: number): Promise<void> {
    return this.#index(job.tenant, [job], nowMs)
  }

  /** The same, at the end of this turn and together with all who do so in it. @throws as add */
  async addTogether(job: JobFacts, nowMs: number): Promise<void> {
    await this.#together.ask({ job, nowMs })
  }

  async #indexAll(added: readonly Added[]): Promise<undefined[]> {
    const byTenant = new Map<string, JobFacts[]>()
    for (const { job } of added) {
      const jobs = byTenant.get(job.tenant)
      if (jobs) jobs.push(job)
      else byTenant.set(job.tenant, [job])
    }
    const nowMs = Math.max(...added.map((one) => one.nowMs))
    await Promise.all(Array.from(byTenant, ([tenant, jobs]) => this.#index(tenant, jobs, nowMs)))
    return added.map(() => undefined)
  }

  async #index(tenant: string, jobs: readonly JobFacts[], nowMs: number): Promise<void> {
    const { byAge, byEnd } = keysOf(tenant)
    const members = jobs.map((job) => [nowMs + recordLifeMs(unsettledLifeMs(job)), memberOf(job)])
    await reach(() => this.#redis.mrIndexJobs(byAge, byEnd, nowMs, ...members.flat()))
  }

  /** @throws MillraceError queue_unavailable */
  async page({ tenant, status, limit, cursor }: ListQuery): Promise<ListPage> {
    const { byAge } = keysOf(tenant)
    const jobs: StoredJob[] = []
    let after = cursor
    for (let lookedAt = 0; lookedAt < maxLookedAt; ) {
      const max = after === undefined ? '+' : `(${after}`
      const members = await reach(() => this.#redis.zrevrangebylex(byAge, max, '-', 'LIMIT', 0, limit))
      const read = await Promise.all(members.map((member) => this.#store.readSummary(member.slice(13))))
      for (const [i, job] of read.entries()) {
        after = members[i]
        if (job?.tenant !== tenant || (status !== undefined && job.status !== status)) continue
        jobs.push(job)
        if (jobs.length === limit) return { jobs, next: after ?? null }
      }
      if (members.length < limit) return { jobs, next: null }
      lookedAt += members.length
    }
    return { jobs, next: after ?? null }
  }
}

export function isCursor(text: string): boolean {
  return cursorForm.test(text)
}

/** Sorts by age as text does. */
function memberOf({ createdAtMs, id }: JobFacts): string {
  return `${createdAtMs.toString(16).padStart(12, '0')}:${id}`
}

function keysOf(tenant: string): { byAge: string; byEnd: string } {
  return { byAge: `mr:{jobs:${tenant}}:age`, byEnd: `mr:{jobs:${tenant}}:end` }
}
