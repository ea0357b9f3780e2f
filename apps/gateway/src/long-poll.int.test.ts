/** Very many who wait: for one job, for a job each, and over HTTP at two gateways. */
import { setMaxListeners } from 'node:events'
import { Agent, get } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encodeVector } from '@millrace/cache'
import {
  encodeSettled,
  freshProgress,
  JobStore,
  SettledChannel,
  type SettledJob,
  Subscriber,
  settledChannel,
} from '@millrace/jobs'
import { eventually } from '@millrace/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { FakeWorker } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import { newJobId } from './job-id.js'
import type { Gateway } from './start-gateway.js'

let site: GatewayUnderTest

beforeAll(async () => {
  site = await GatewayUnderTest.start()
})
afterEach(() => vi.restoreAllMocks())
afterAll(() => site?.stop())

describe('ten thousand waits on one subscriber connection', () => {
  const count = 10_000
  /** Jobs of one message, as a worker tells them. */
  const perMessage = 32
  let store: JobStore
  let subscriber: Subscriber
  let channel: SettledChannel

  beforeAll(async () => {
    store = await JobStore.connect({ url: site.queue.url, role: 'worker' })
    subscriber = new Subscriber({ url: site.queue.url })
    channel = new SettledChannel(subscriber)
    await subscriber.listen(settledChannel, () => {}).ready
  })
  afterAll(async () => {
    channel?.close()
    await Promise.all([subscriber?.close(), store?.close()])
  })

  const settled = (jobId: string): SettledJob => ({
    jobId,
    progress: { ...freshProgress(1, { startByMs: 1, settleByMs: null }), status: 'succeeded' },
    outputs: new Map([[0, encodeVector(new Float32Array(384))]]),
  })

  /** As a request waits: with a signal of its own. */
  const waitFor = (id: string) => channel.waitFor(id, 60_000, new AbortController().signal)

  async function tell(ids: readonly string[]): Promise<void> {
    for (let i = 0; i < ids.length; i += perMessage) {
      await store.publish(settledChannel, encodeSettled(ids.slice(i, i + perMessage).map(settled)))
    }
  }

  test('for one job are all answered within 1 s of its message', async () => {
    const id = newJobId()
    const waits = Promise.all(Array.from({ length: count }, () => waitFor(id)))
    expect(channel.waiting).toBe(count)
    const startedMs = performance.now()
    await tell([id])
    const heard = await waits
    expect(performance.now() - startedMs).toBeLessThan(1000)
    for (const job of heard) expect(job?.jobId).toBe(id)
    expect(channel.waiting).toBe(0)
  })

  test('for as many jobs are each answered with its own, within 1 s of the messages', async () => {
    const ids = Array.from({ length: count }, newJobId)
    const waits = Promise.all(ids.map(waitFor))
    expect(channel.waiting).toBe(count)
    const startedMs = performance.now()
    await tell(ids)
    const heard = await waits
    expect(performance.now() - startedMs).toBeLessThan(1000)
    expect(heard.map((job) => job?.jobId)).toEqual(ids)
    expect(channel.waiting).toBe(0)
  })

  test('end with their signals, and leave nothing', async () => {
    const leaving = Array.from({ length: count }, () => new AbortController())
    const id = newJobId()
    const waits = leaving.map(({ signal }) => channel.waitFor(id, 60_000, signal))
    for (const controller of leaving) controller.abort()
    expect(new Set(await Promise.all(waits))).toEqual(new Set([undefined]))
    expect(channel.waiting).toBe(0)
  })

  test('take less than 3 KiB each (1.6 kB on Node 20), with their promises, timers and signals', async () => {
    const ids = Array.from({ length: count }, newJobId)
    const emptyBytes = usedBytes()
    const waits = ids.map(waitFor)
    const bytesEach = (usedBytes() - emptyBytes) / count
    expect(bytesEach).toBeLessThan(3072)
    await tell(ids)
    await Promise.all(waits)
  })
})

describe('a thousand connections at two gateways', () => {
  const count = 1000
  let other: Gateway
  let worker: FakeWorker
  let waitFor: { mock: { contexts: unknown[] } }

  beforeAll(async () => {
    other = await site.another()
    worker = await FakeWorker.start(site.queue.url)
  })
  afterAll(() => worker?.stop())

  const open = () => {
    const gateways = new Set(waitFor.mock.contexts as SettledChannel[])
    return [...gateways].reduce((sum, { waiting }) => sum + waiting, 0)
  }

  /** Every one on a connection of its own. */
  function waitTogether(id: string, signal: AbortSignal): Promise<{ text: string; atMs: number }>[] {
    const agent = new Agent({ maxSockets: count })
    setMaxListeners(0, signal)
    return Array.from({ length: count }, (_, i) => {
      const { url } = i % 2 === 0 ? site.gateway : other
      return new Promise((resolve, reject) => {
        const request = get(`${url}/v1/jobs/${id}?wait=60`, { agent, signal }, (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (part) => {
            text += part
          })
          response.on('end', () => {
            resolve({ text, atMs: performance.now() })
          })
        })
        request.on('error', reject)
      })
    })
  }

  test('that wait for one job are all answered within 1 s of its end', async () => {
    waitFor = vi.spyOn(SettledChannel.prototype, 'waitFor')
    const letGo = worker.hold('beforeStore')
    const { id } = await bodyOf(await site.post({ model, input: 'awaited' }))
    const answers = waitTogether(id, new AbortController().signal)
    await eventually(() => open() === count, { timeoutMs: 15_000 })
    const endedMs = performance.now()
    letGo()
    const heard = await Promise.all(answers)
    expect(new Set(heard.map(({ text }) => text)).size).toBe(1)
    expect(JSON.parse(heard[0]?.text ?? '')).toMatchObject({ id, status: 'succeeded', output: [7, 97] })
    expect(Math.max(...heard.map(({ atMs }) => atMs)) - endedMs).toBeLessThan(1000)
    expect(open()).toBe(0)
  })

  test('leave no wait behind when they go', async () => {
    worker.reset()
    waitFor = vi.spyOn(SettledChannel.prototype, 'waitFor')
    const letGo = worker.hold()
    const { id } = await bodyOf(await site.post({ model, input: 'left alone' }))
    const leaving = new AbortController()
    const answers = Promise.allSettled(waitTogether(id, leaving.signal))
    await eventually(() => open() === count, { timeoutMs: 15_000 })
    leaving.abort()
    await answers
    await eventually(() => open() === 0)
    letGo()
  })
})

/** After a full collection, for which Node wants a flag. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
