/** Processes die and stores restart while jobs are under way: no accepted job is lost, and each answer is right. */
import { readFileSync } from 'node:fs'
import { eventually, type Fleet, type FleetProcess, startFleet } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, freshTexts, jobOf, model, post, problemOf, root, submit, vectorsOf } from './api.js'

let fleet: Fleet
// Chunks of a dead worker come back after lock + check; the defaults are 10 s + 5 s.
const env = { LOCK_MS: '2000', STALLED_CHECK_MS: '1000', CLAIM_LEASE_MS: '2000' }

beforeAll(async () => {
  fleet = await startFleet({ root, workers: 2, env })
})
afterEach(async () => {
  const ready = await Promise.all(fleet.workers.map(isReady))
  for (const up of ready) if (!up) await fleet.startWorker()
})
afterAll(() => fleet?.stop())

const isReady = (worker: FleetProcess) =>
  fetch(`${worker.url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

async function liveWorkers(): Promise<FleetProcess[]> {
  const up = await Promise.all(fleet.workers.map(isReady))
  return fleet.workers.filter((_, i) => up[i])
}

const childOf = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])

/** Submits jobs that take the fleet a few seconds, and resolves once some are being worked on. */
async function underWay(): Promise<{ ids: string[]; texts: string[][] }> {
  const texts = Array.from({ length: 8 }, () => freshTexts(40, 60))
  const jobs = await Promise.all(texts.map((inputs) => submit(fleet.url, inputs)))
  const ids = jobs.map(({ id }) => id)
  await eventually(async () => jobOf(await call(fleet.url, `/v1/jobs/${ids[0]}`)).status === 'processing')
  return { ids, texts }
}

/** Every job succeeded, and what it says equals what is said of the same text when asked again, alone. */
async function allRight({ ids, texts }: { ids: string[]; texts: string[][] }): Promise<void> {
  for (const [i, id] of ids.entries()) {
    const vectors = vectorsOf(await finished(fleet.url, id))
    expect(vectors).toHaveLength(40)
    const answer = await post(fleet.url, { model, input: texts[i]?.[7] }, { prefer: 'wait=30' })
    expect(jobOf(answer).output).toEqual(vectors[7])
  }
}

describe('no accepted job is lost', () => {
  it('when a worker is killed in mid-batch', async () => {
    const work = await underWay()
    const [victim] = await liveWorkers()
    await victim?.kill('SIGKILL')
    await allRight(work)
  })

  it('when a worker is killed with a job that it was told of ahead of the queue', async () => {
    const queue = fleet.queueRedis.client()
    const cache = fleet.cacheRedis.client()
    const ask = (input: string | undefined) => post(fleet.url, { model, input }, { prefer: 'wait=30' })
    const delayed = () => queue.zcard(`{mr:${model}}:chunks:delayed`)
    // The gateway samples how busy the fleet is: from its first job that is told ahead on, it has seen that it is not.
    await eventually(async () => {
      await ask(freshTexts(1)[0])
      return (await delayed()) > 0
    })
    await eventually(async () => (await delayed()) === 0)
    const workers = await liveWorkers()
    const models = workers.map(({ pid }) => childOf(pid))
    for (const pid of models) process.kill(pid, 'SIGSTOP')
    const [input] = freshTexts(1)
    const answer = ask(input)
    await eventually(async () => (await delayed()) === 1)
    const owners = await Promise.all((await cache.keys('mr:*:claim')).map((claim) => cache.get(claim)))
    const told = workers.find(({ pid }) => owners.some((owner) => owner?.includes(`-${pid}-`)))
    expect(told).toBeDefined()
    await told?.kill('SIGKILL')
    for (const pid of models) process.kill(pid, 'SIGCONT')
    const job = jobOf(await answer)
    expect(job.status).toBe('succeeded')
    const again = await ask(input)
    expect(again.headers.get('x-cache')).toBe('hit')
    expect(jobOf(again).output).toEqual(job.output)
  })

  it('when a model process is killed in mid-batch, and its worker goes on', async () => {
    const work = await underWay()
    const [worker] = await liveWorkers()
    if (!worker) throw new Error('no worker is up')
    const victim = childOf(worker.pid)
    process.kill(victim, 'SIGKILL')
    await allRight(work)
    expect(childOf(worker.pid)).not.toBe(victim)
    expect(await isReady(worker)).toBe(true)
    const metrics = String((await call(worker.url, '/metrics')).body)
    expect(metrics).toMatch(/millrace_model_process_restarts_total\{[^}]*reason="crash"\} 1/)
  })

  it('when a worker is asked to stop: it gives back what it has not begun, at once', async () => {
    const work = await underWay()
    const [worker] = await liveWorkers()
    const startedMs = performance.now()
    expect(await worker?.kill('SIGTERM')).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    await allRight(work)
  })

  it('when both Redis restart', async () => {
    const work = await underWay()
    // As an operator restarts them: the queue Redis writes its log first. The cache forgets everything.
    await Promise.all([fleet.queueRedis.kill('SIGTERM'), fleet.cacheRedis.kill('SIGTERM')])
    const refused = await post(fleet.url, { model, input: freshTexts(1)[0] })
    expect({ status: refused.status, code: problemOf(refused).code }).toEqual({
      status: 503,
      code: 'queue_unavailable',
    })
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await call(fleet.url, '/readyz')).status).toBe(503)
    expect((await call(fleet.url, '/livez')).status).toBe(200)
    await Promise.all([fleet.queueRedis.restart(), fleet.cacheRedis.restart()])
    await allRight(work)
  })

  it('when the queue Redis is killed outright, for every job older than its last write to disk', async () => {
    const job = await submit(fleet.url, freshTexts(3))
    const done = await finished(fleet.url, job.id)
    // A killed process loses what it had not handed to the system yet; a killed machine, up to a second more.
    const client = fleet.queueRedis.client()
    await eventually(async () => (await client.info('persistence')).includes('aof_buffer_length:0'))
    await fleet.queueRedis.restart()
    expect(await finished(fleet.url, job.id)).toEqual(done)
  })
})

describe('the cache away', () => {
  it('costs computing, and nothing else: jobs are accepted, computed and read', async () => {
    await fleet.cacheRedis.kill()
    try {
      const texts = freshTexts(5)
      const first = jobOf(await post(fleet.url, { model, inputs: texts }, { prefer: 'wait=30' }))
      const second = jobOf(await post(fleet.url, { model, inputs: texts }, { prefer: 'wait=30' }))
      expect(vectorsOf(second)).toEqual(vectorsOf(first))
      expect((await call(fleet.url, '/readyz')).status).toBe(200)
    } finally {
      await fleet.cacheRedis.restart()
    }
  })

  it('or forgetful: a job answered from it is still answered under its id', async () => {
    const second = await fleet.startGateway()
    // A text that another gateway finds: the shared cache is back for workers and gateways alike.
    const inputs = await eventually(async () => {
      const texts = freshTexts(4)
      await post(fleet.url, { model, inputs: texts }, { prefer: 'wait=30' })
      const found = await post(second.url, { model, inputs: texts })
      return found.headers.get('x-cache') === 'hit' ? texts : undefined
    })
    const hit = jobOf(await post(second.url, { model, inputs }))
    await fleet.cacheRedis.restart()
    // A third gateway holds nothing in process; the cache is empty: the answer is computed again.
    const third = await fleet.startGateway()
    const read = await finished(third.url, hit.id)
    expect(vectorsOf(read)).toEqual(vectorsOf(hit))
    expect(third.output()).toContain('job-rebuilt')
  })
})
