import type { JobStatus } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { newJob, now, ttlMs } from './job-under-test.js'
import {
  factsOf,
  freshProgress,
  isGone,
  isLate,
  limitsFrom,
  recordLifeMs,
  storedJob,
  unsettledLifeMs,
} from './record.js'

const limits = limitsFrom({ startLimitMs: 1000, lifeLimitMs: 5000 }, now)
const noLife = limitsFrom({ startLimitMs: 1000, lifeLimitMs: null }, now)
const progress = (status: JobStatus, of = limits) => ({ ...freshProgress(1, of), status })

describe('a job is late', () => {
  it.each([
    ['queued', limits, 1000, false],
    ['queued', limits, 1001, true],
    ['queued', noLife, 1001, true],
    ['processing', limits, 5000, false],
    ['processing', limits, 5001, true],
    ['processing', noLife, 1_000_000_000, false],
    ['succeeded', limits, 5001, false],
    ['failed', limits, 5001, false],
    ['canceled', limits, 5001, false],
    ['expired', limits, 5001, false],
  ] as const)('when it is %s, by %j, after %i ms: %s', (status, of, afterMs, late) => {
    expect(isLate(progress(status, of), now + afterMs)).toBe(late)
  })

  it('by the limit on its whole life also while it waits', () => {
    const short = limitsFrom({ startLimitMs: 5000, lifeLimitMs: 1000 }, now)
    expect(isLate(progress('queued', short), now + 1001)).toBe(true)
  })
})

describe('a job can be read', () => {
  const facts = factsOf(newJob({ lifeLimitMs: 5000 }))

  it('while it waits: to the end of its limits, and then as long as any', () => {
    const job = storedJob(facts, freshProgress(1, limits), new Map())
    expect(job.expiresAtMs).toBe(now + 5000 + ttlMs)
    expect(job.expiresAtMs).toBe(now + unsettledLifeMs(facts))
    expect([isGone(job, job.expiresAtMs), isGone(job, job.expiresAtMs + 1)]).toEqual([false, true])
  })

  it('once it is settled: from then on as long as any', () => {
    const settled = { ...progress('failed'), completedAtMs: now + 300 }
    expect(storedJob(facts, settled, new Map()).expiresAtMs).toBe(now + 300 + ttlMs)
  })

  it('for less time than its record lasts', () => {
    expect(recordLifeMs(unsettledLifeMs(facts))).toBe(2 * (5000 + ttlMs))
  })
})

it('facts are the job without what is kept elsewhere', () => {
  const job = newJob()
  const facts = factsOf(job)
  expect(Object.keys(facts)).toEqual(Object.keys(job).filter((key) => key !== 'known' && key !== 'chunks'))
})
