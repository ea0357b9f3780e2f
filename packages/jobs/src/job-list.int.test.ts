import { eventually, queueRedis, type RedisServer } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isCursor, JobList, type ListQuery } from './job-list.js'
import { JobStore } from './job-store.js'
import { expired, newJob, now, result, ttlMs, vector } from './job-under-test.js'
import type { NewJob } from './record.js'

let redis: RedisServer
let store: JobStore
let list: JobList
let serial = 0

beforeAll(async () => {
  redis = await queueRedis()
  store = await JobStore.connect({ url: redis.url, role: 'gateway' })
  list = new JobList(store)
})
afterAll(async () => {
  await store.close()
  await redis.stop()
})

const newTenant = () => `tenant-${serial++}`

/** So many jobs, each a millisecond younger than the one before; oldest first. */
async function submitted(tenant: string, count: number, fromMs = now, change: Partial<NewJob> = {}) {
  const jobs = Array.from({ length: count }, (_, i) => newJob({ tenant, createdAtMs: fromMs + i, ...change }))
  await Promise.all(jobs.flatMap((job) => [store.create(job), list.add(job, job.createdAtMs)]))
  return jobs.map(({ id }) => id)
}
async function ids(query: ListQuery) {
  const { jobs, next } = await list.page(query)
  return { ids: jobs.map(({ id }) => id), next }
}
/** Page after page until the last; `between` is called after each. */
async function everyPage(query: ListQuery, between = async () => {}) {
  const pages: string[][] = []
  let cursor: string | undefined
  for (;;) {
    const page = await ids({ ...query, cursor })
    pages.push(page.ids)
    if (page.next === null) return pages
    expect(isCursor(page.next)).toBe(true)
    cursor = page.next
    await between()
  }
}
const keysOf = (tenant: string) => [`mr:{jobs:${tenant}}:age`, `mr:{jobs:${tenant}}:end`]

describe('a list of jobs', () => {
  it('shows the newest first, each as it is now, without its outputs', async () => {
    const tenant = newTenant()
    const jobs = await submitted(tenant, 3)
    await store.storeChunk(result(jobs[1] ?? '', 0, [[0, vector(1)]]), now)
    const page = await list.page({ tenant, limit: 10 })
    expect(page.next).toBeNull()
    expect(page.jobs.map(({ id, status, outputs }) => ({ id, status, outputs: outputs.size }))).toEqual([
      { id: jobs[2], status: 'queued', outputs: 0 },
      { id: jobs[1], status: 'succeeded', outputs: 0 },
      { id: jobs[0], status: 'queued', outputs: 0 },
    ])
  })

  it('is sorted by age also where the clock gained a digit, and where ids say otherwise', async () => {
    const tenant = newTenant()
    const [young = ''] = await submitted(tenant, 1, 0x1000)
    const [old = ''] = await submitted(tenant, 1, 0xfff)
    expect(await ids({ tenant, limit: 10 })).toEqual({ ids: [young, old], next: null })
  })

  it('holds a job once, however often it is added', async () => {
    const tenant = newTenant()
    const job = newJob({ tenant })
    await store.create(job)
    await list.add(job, now)
    await list.add(job, now + 5)
    expect(await ids({ tenant, limit: 10 })).toEqual({ ids: [job.id], next: null })
  })

  it('is told once of all that a turn adds, of whichever tenant, and before what is sent at its end', async () => {
    const tenants = [newTenant(), newTenant()]
    const jobs = tenants.flatMap((tenant) => [newJob({ tenant }), newJob({ tenant })])
    const calls: string[] = []
    const watched = await redis.client().monitor()
    watched.on('monitor', (_time: string, [command = '', ...args]: string[]) => {
      const of = tenants.find((tenant) => args.includes(`mr:{jobs:${tenant}}:age`))
      if (command === 'evalsha' && of) calls.push(`index ${of}`)
      if (command === 'echo') calls.push(args[0] ?? '')
    })
    await Promise.all(jobs.map((job) => store.create(job)))
    const added = jobs.map((job) => list.addTogether(job, now))
    process.nextTick(() => void store.connection.echo('behind'))
    await Promise.all(added)
    await eventually(() => calls.includes('behind'))
    watched.disconnect()
    expect(calls).toEqual([`index ${tenants[0]}`, `index ${tenants[1]}`, 'behind'])
    for (const [i, tenant] of tenants.entries()) {
      const own = jobs.slice(2 * i, 2 * i + 2).map(({ id }) => id)
      expect((await ids({ tenant, limit: 10 })).ids.toSorted()).toEqual(own.toSorted())
    }
  })

  it('takes in one turn as many as come', async () => {
    const tenant = newTenant()
    const jobs = Array.from({ length: 4500 }, () => newJob({ tenant }))
    await Promise.all(jobs.map((job) => list.addTogether(job, now)))
    for (const key of keysOf(tenant)) expect(await redis.client().zcard(key)).toBe(4500)
  })

  it('shows nobody another tenant’s jobs', async () => {
    const [mine, theirs] = [newTenant(), newTenant()]
    const own = await submitted(mine, 2)
    const others = await submitted(theirs, 2)
    expect((await ids({ tenant: mine, limit: 10 })).ids).toEqual(own.toReversed())
    expect((await ids({ tenant: theirs, limit: 10 })).ids).toEqual(others.toReversed())
    // Also where an id of another tenant got into the list: who lists reads only records of its own.
    const [foreign = ''] = others
    await redis.client().zadd(keysOf(mine)[0] ?? '', 0, `${now.toString(16).padStart(12, '0')}:${foreign}`)
    expect((await ids({ tenant: mine, limit: 10 })).ids).toEqual(own.toReversed())
    expect((await ids({ tenant: newTenant(), limit: 10 })).ids).toEqual([])
  })
})

describe('pages', () => {
  it('neither lose nor repeat a job while others are added', async () => {
    const tenant = newTenant()
    const jobs = await submitted(tenant, 23)
    let later = now
    const pages = await everyPage({ tenant, limit: 5 }, async () => {
      later += 1000
      await submitted(tenant, 3, later)
    })
    expect(pages.flat()).toEqual(jobs.toReversed())
    expect(pages.slice(0, 4).map((page) => page.length)).toEqual([5, 5, 5, 5])
  })

  it('neither lose nor repeat a job of the same millisecond', async () => {
    const tenant = newTenant()
    const jobs = (await Promise.all(Array.from({ length: 9 }, () => submitted(tenant, 1)))).flat()
    const seen = (await everyPage({ tenant, limit: 2 })).flat()
    expect(seen.toSorted()).toEqual(jobs.toSorted())
  })

  it('end where the list ends, however it divides', async () => {
    for (const count of [0, 1, 4, 5]) {
      const tenant = newTenant()
      const jobs = await submitted(tenant, count)
      expect((await everyPage({ tenant, limit: 2 })).flat()).toEqual(jobs.toReversed())
    }
  })

  it('of one status hold all of it, and nothing else', async () => {
    const tenant = newTenant()
    const jobs = await submitted(tenant, 12)
    const late = jobs.filter((_, i) => i % 5 === 0)
    for (const id of late) await store.settle({ id, ttlMs }, 'expired', expired, now)
    const pages = await everyPage({ tenant, limit: 2, status: 'expired' })
    expect(pages.flat()).toEqual(late.toReversed())
    expect(pages[0]).toHaveLength(2)
    const waiting = await everyPage({ tenant, limit: 50, status: 'queued' })
    expect(waiting.flat()).toEqual(jobs.filter((id) => !late.includes(id)).toReversed())
  })

  it('of a rare status may be short, and their cursor goes on to the last one', async () => {
    const tenant = newTenant()
    const jobs = await submitted(tenant, 1200)
    const oldest = jobs[0] ?? ''
    await store.settle({ id: oldest, ttlMs }, 'expired', expired, now)
    const pages = await everyPage({ tenant, limit: 100, status: 'expired' })
    expect(pages).toEqual([[], [oldest]])
  })

  it('pass over jobs whose record is over', async () => {
    const tenant = newTenant()
    const jobs = await submitted(tenant, 4)
    for (const id of jobs.slice(2)) await redis.client().del(`mr:{${id}}:record`)
    expect(await ids({ tenant, limit: 2 })).toMatchObject({ ids: [jobs[1], jobs[0]] })
  })
})

describe('the end of a job’s life', () => {
  /** Twice as long as it may wait and then be read: 2 x (1000 ms + 60 s). */
  const lifeMs = 122_000

  it('takes it out of the list, as others come', async () => {
    const tenant = newTenant()
    await submitted(tenant, 6)
    const members = () => Promise.all(keysOf(tenant).map((key) => redis.client().zcard(key)))
    await submitted(tenant, 1, now + lifeMs - 1)
    expect(await members()).toEqual([7, 7])
    for (const [i, left] of [4, 3, 4].entries()) {
      await submitted(tenant, 1, now + lifeMs + 5 + i)
      expect(await members()).toEqual([left, left])
    }
  })

  it('of the last job of a tenant leaves nothing of the list behind', async () => {
    const tenant = newTenant()
    await submitted(tenant, 1, now, { startLimitMs: 300_000 })
    await submitted(tenant, 1, now)
    for (const key of keysOf(tenant)) {
      const leftMs = await redis.client().pttl(key)
      expect(leftMs).toBeLessThanOrEqual(720_000)
      expect(leftMs).toBeGreaterThan(710_000)
    }
  })
})

it('a cursor is what a page gave, and nothing else', () => {
  const good = `018bcfe56800:${newJob().id}`
  expect(isCursor(good)).toBe(true)
  const bad = ['', '+', '-', '[a', `(${good}`, `${good}x`, `${good}\n`, good.slice(1), good.toUpperCase()]
  expect(bad.filter(isCursor)).toEqual([])
})
