/** What the gateway does with what workers say of themselves: none there, some there, and some at another version. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jobSchema, type ModelFacts, modelListSchema, openAiErrorSchema } from '@millrace/contracts'
import { FleetRegistry } from '@millrace/jobs'
import { collectEvents, eventually } from '@millrace/testkit'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { GatewayEvent } from './events.js'
import { announceModel, FakeWorker, fakeClassifier, fakeEmbedder, rememberResults } from './fake-worker.js'
import { bodyOf, GatewayUnderTest, model } from './gateway-under-test.js'
import type { Gateway } from './start-gateway.js'

const starter = new URL('../../../models/all-MiniLM-L6-v2', import.meta.url).pathname
const classifier = new URL('../../../models/fixtures/tiny-classifier', import.meta.url).pathname
const vit = new URL('../../../models/fixtures/tiny-vit', import.meta.url).pathname
const log = collectEvents<GatewayEvent>()
const workers = new Set<FakeWorker>()

let folder: string
let site: GatewayUnderTest
/** Beside the first gateway, which queues what nobody serves. */
let strict: Gateway
let registry: FleetRegistry

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-gateway-'))
  const MILLRACE_CONFIG = join(folder, 'millrace.json')
  const limits = { max_items: 2, max_chars: 10 }
  const models = {
    [model]: { path: starter },
    'tiny-classifier': { path: classifier, task: 'text-classification', dtype: 'fp32', limits },
    'tiny-vit': { path: vit, task: 'image-feature-extraction', dtype: 'fp32', limits },
  }
  await writeFile(MILLRACE_CONFIG, JSON.stringify({ models }))
  site = await GatewayUnderTest.start({ MILLRACE_CONFIG }, { onEvent: log.on })
  strict = await site.another({ REQUIRE_WORKER: 'true', WAIT_LIMIT_S: '1' })
  registry = await FleetRegistry.connect({ url: site.queue.url })
})
beforeEach(async () => {
  for (const worker of workers) await worker.stop()
  workers.clear()
  await site.queue.client().del('mr:{fleet}:workers')
  await eventually(async () => (await modelOf(model)).workers === 0)
  await eventually(async () => (await modelOf(model, strict)).workers === 0)
})
afterAll(async () => {
  for (const worker of workers) await worker.stop()
  await registry?.close()
  await site?.stop()
  await rm(folder, { recursive: true })
})

async function startWorker(): Promise<FakeWorker> {
  const worker = await FakeWorker.start(site.queue.url)
  workers.add(worker)
  return worker
}

async function modelOf(alias: string, at = site.gateway) {
  const { data } = modelListSchema.parse(await bodyOf(await site.call('/v1/models', {}, at)))
  const found = data.find(({ id }) => id === alias)
  if (!found) throw new Error(`no ${alias}`)
  return found
}

describe('a job of a model that no worker serves', () => {
  test('is queued and says so, in the answer, in the list and in its events', async () => {
    const response = await site.post({ model, input: 'early' })
    expect(response.status).toBe(202)
    const job = jobSchema.parse(await bodyOf(response))
    expect(job.queue).toMatchObject({ workers: 0, eta_ms: null })
    const listed = await bodyOf(await site.call('/v1/jobs'))
    expect(listed.data[0]).toMatchObject({ id: job.id, queue: { workers: 0 } })
    const events = await site.call(`/v1/jobs/${job.id}/events`)
    const [first] = await eventually(async () => {
      const { value } = (await events.body?.getReader().read()) ?? {}
      return /^data: .*$/m.exec(new TextDecoder().decode(value))
    })
    expect(first).toContain('"workers":0')
  })

  test('is done once a worker comes', async () => {
    const { id } = await bodyOf(await site.post({ model, input: 'patient' }))
    await startWorker()
    const done = await bodyOf(await site.call(`/v1/jobs/${id}?wait=10`))
    expect(done).toMatchObject({ status: 'succeeded', queue: null })
  })

  test('is refused by configuration: 503, no_worker, and when to come again', async () => {
    const before = await site.waitingChunks()
    const response = await site.post({ model, input: 'nobody' }, {}, strict)
    expect(response.status).toBe(503)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('retry-after')).toBe('10')
    expect(await bodyOf(response)).toMatchObject({ code: 'no_worker', retryable: true })
    expect(await site.waitingChunks()).toEqual(before)
  })

  test('is refused in OpenAI’s form on OpenAI’s route, by configuration and where the wait ends', async () => {
    const ask = (at: Gateway) => site.send('/v1/embeddings', { model, input: 'nobody' }, {}, at)
    const patient = await site.another({ WAIT_LIMIT_S: '1' })
    for (const at of [strict, patient]) {
      const response = await ask(at)
      expect(response.status).toBe(503)
      expect(response.headers.get('retry-after')).toBe('10')
      expect(openAiErrorSchema.parse(await bodyOf(response)).error).toMatchObject({
        code: 'no_worker',
        type: 'server_error',
      })
    }
  })

  test('is answered all the same where every result is known', async () => {
    await announceModel(registry)
    await rememberResults(site.cacheServer.url, ['known'])
    await site.queue.client().del('mr:{fleet}:workers')
    expect((await site.post({ model, input: 'known' }, {}, strict)).status).toBe(200)
  })

  test('is taken from the moment a worker is there, not from the next sample on', async () => {
    await startWorker()
    expect((await site.post({ model, input: 'at once' }, {}, strict)).status).toBe(202)
  })
})

describe('GET /v1/models', () => {
  const facts = (version: string): ModelFacts => ({ ...fakeEmbedder.facts, version })

  test('shows each worker with what it runs, and that versions differ, which is said in a log line', async () => {
    expect(await modelOf(model)).toMatchObject({ versions: [], served_by: [], tokens_per_s: null })
    await announceModel(registry, { ...fakeEmbedder, facts: facts('v1') })
    await registry.announce(
      {
        id: 'stray',
        startedAtMs: 1000,
        models: {
          [model]: {
            chunksDone: 0,
            itemsDone: 0,
            serving: {
              version: 'v2',
              dtype: 'fp32',
              batching: { mode: 'one_at_a_time', tokens: 64, items: 1, timeout_ms: 500 },
              processes: 2,
              threads: 3,
              tokens_per_s: 1234,
            },
          },
        },
      },
      new Map([[model, facts('v2')]]),
    )
    const differ = await log.next('versions-differ', () => true, { timeoutMs: 5000 })
    expect(differ).toMatchObject({
      model,
      versions: [{ version: 'v1' }, { version: 'v2', workers: ['stray'] }],
    })
    const found = await modelOf(model)
    expect(found).toMatchObject({
      workers: 2,
      tokens_per_s: 1234,
      versions: [
        { version: 'v1', workers: 1 },
        { version: 'v2', workers: 1 },
      ],
      // Of the worker that started last, whoever announced itself last.
      facts: { version: 'v1' },
    })
    expect(found.served_by).toContainEqual({
      id: 'stray',
      started_at: '1970-01-01T00:00:01.000Z',
      version: 'v2',
      dtype: 'fp32',
      batching: { mode: 'one_at_a_time', tokens: 64, items: 1, timeout_ms: 500 },
      processes: 2,
      threads: 3,
      tokens_per_s: 1234,
    })
    await registry.withdraw('stray')
    await log.next('versions-agree', (event) => event.model === model, { timeoutMs: 5000 })
    expect((await modelOf(model)).versions).toEqual([{ version: 'v1', workers: 1 }])
  })
})

describe('limits of one model alone', () => {
  const { alias } = fakeClassifier

  test.each([
    ['too many items', ['a', 'b', 'c'], 'too_many_items'],
    ['too long an input', ['much too long'], 'input_too_long'],
  ])('refuse %s there, as a job and as a classification, and nowhere else', async (_, inputs, code) => {
    for (const [path, body] of [
      ['/v1/jobs', { model: alias, inputs }],
      ['/v1/classify', { model: alias, input: inputs }],
    ] as const) {
      const response = await site.send(path, body)
      expect(response.status).toBe(422)
      expect(await bodyOf(response)).toMatchObject({ code })
    }
    expect((await site.post({ model, inputs })).status).toBe(202)
  })

  test('refuse too many images there, in JSON and as files', async () => {
    const png = readFileSync(new URL('../../../models/fixtures/media/grey.png', import.meta.url))
    const image = `data:image/png;base64,${png.toString('base64')}`
    const form = (files: number) => {
      const body = new FormData()
      body.append('model', 'tiny-vit')
      for (let i = 0; i < files; i++) body.append('image', new File([new Uint8Array(png)], 'file'))
      return site.call('/v1/jobs', { method: 'POST', body })
    }
    const json = (files: number) => site.post({ model: 'tiny-vit', inputs: Array(files).fill({ image }) })
    for (const send of [form, json]) {
      expect((await send(2)).status).toBe(202)
      const refused = await send(3)
      expect([refused.status, await bodyOf(refused)]).toMatchObject([422, { code: 'too_many_items' }])
    }
  })
})
