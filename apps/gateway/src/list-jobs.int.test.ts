/** A tenant's jobs by age, page by page, through two gateways. */
import { jobListSchema, jobSchema, problemSchema } from '@millrace/contracts'
import { JobList, JobStore } from '@millrace/jobs'
import { eventually } from '@millrace/testkit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import { newJobId } from './job-id.js'
import type { Gateway } from './start-gateway.js'

let site: GatewayUnderTest
let other: Gateway

beforeAll(async () => {
  site = await GatewayUnderTest.start()
  other = await site.another()
})
afterAll(() => site?.stop())

const call: GatewayUnderTest['call'] = (...args) => site.call(...args)
const post: GatewayUnderTest['post'] = (...args) => site.post(...args)
const jobOf = async (response: Response) => jobSchema.parse(await bodyOf(response))

const page = async (query: string, at?: Gateway) =>
  jobListSchema.parse(await bodyOf(await call(`/v1/jobs?${query}`, {}, at)))

test('is one’s own jobs, newest first, in pages that go on from each other at any gateway', async () => {
  const ids: string[] = []
  for (let i = 0; i < 5; i++) {
    ids.push((await jobOf(await post({ model, input: `list ${i}` }, {}, i % 2 ? other : undefined))).id)
  }
  const first = await page('limit=2')
  const second = await page(`limit=2&cursor=${first.next_cursor}`, other)
  const third = await page(`limit=1&cursor=${second.next_cursor}`)
  const listed = [...first.data, ...second.data, ...third.data]
  expect(listed.map(({ id }) => id)).toEqual(ids.reverse())
  for (const job of listed) expect(job).not.toHaveProperty('output')
})

test('shows the jobs of one status alone, as they are now', async () => {
  const { id } = await jobOf(await post({ model, input: 'a' }))
  const late = await jobOf(await post({ model, input: 'a', start_timeout_ms: 1 }))
  await call(`/v1/jobs/${id}/cancel`, { method: 'POST' })
  expect((await page('status=canceled&limit=1')).data).toMatchObject([{ id, status: 'canceled' }])
  await eventually(async () => {
    const { data } = await page('limit=1')
    return data[0]?.id === late.id && data[0].status === 'expired'
  })
  expect((await page('status=expired&limit=1', other)).data).toMatchObject([{ id: late.id }])
})

test('ends with null, also after a page that is full', async () => {
  const all: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { data, next_cursor } = await page(cursor === '' ? 'limit=3' : `limit=3&cursor=${cursor}`)
    all.push(...data.map(({ id }) => id))
    cursor = next_cursor
  }
  expect(new Set(all).size).toBe(all.length)
  expect(all.length).toBeGreaterThan(5)
})

test('gives a short page, and a cursor, rather than look for a rare status for ever', async () => {
  const store = await JobStore.connect({ url: site.queue.url, role: 'worker' })
  const list = new JobList(store)
  const nowMs = Date.now()
  const records = Array.from({ length: 1050 }, (_, i) => ({
    ...record,
    id: newJobId(),
    createdAtMs: nowMs + i,
  }))
  await Promise.all(records.flatMap((job) => [store.create(job), list.add(job, nowMs)]))
  await store.close()
  const short = await page('status=failed&limit=100')
  expect(short.data).toEqual([])
  expect(short.next_cursor).not.toBeNull()
  const rest = await page(`status=queued&limit=100&cursor=${short.next_cursor}`)
  expect(rest.data[0]?.id).toBe(records[49]?.id)
})

test.each(['cursor=nonsense', 'cursor=', 'limit=0', 'limit=101', 'limit=x', 'status=done'])(
  '?%s is refused by its field',
  async (query) => {
    const response = await call(`/v1/jobs?${query}`)
    const problem = problemSchema.parse(await bodyOf(response))
    expect([response.status, problem.errors[0]?.path]).toEqual([400, query.split('=')[0]])
  },
)

const record = {
  model,
  tenant: 'default',
  scope: 's',
  priority: 0,
  metadata: {},
  webhook: null,
  requestId: 'r',
  requestDigest: null,
  single: true,
  encoding: 'float' as const,
  truncate: false,
  slots: [0],
  slotCount: 1,
  knownCount: 0,
  startLimitMs: 600_000,
  lifeLimitMs: null,
  ttlMs: 60_000,
  known: new Map(),
  chunks: [[{ slot: 0, input: 'a' }]],
}
