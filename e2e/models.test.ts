/** Many models in one fleet of real processes: who serves what, what nobody serves, and files that are not what they were. */
import { appendFileSync, cpSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Model, modelListSchema } from '@millrace/contracts'
import { eventually, type Fleet, type FleetProcess, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  call,
  model as embedder,
  finished,
  freshTexts,
  itemsComputed,
  jobOf,
  metric,
  millrace,
  post,
  problemOf,
  root,
  runNode,
  vectorsOf,
} from './api.js'

const classifier = 'tiny-classifier'
const reranker = 'tiny-reranker'
const pinned = 'pinned-classifier'
/** Workers announce themselves every 2 s, and a busy machine takes its time. */
const soon = { timeoutMs: 20_000 }

let folder: string
let config: string
let fleet: Fleet
let embedding: FleetProcess
let classifying: FleetProcess
let added: string

const copyOf = (name: string) => {
  const to = join(folder, name)
  cpSync(join(root, 'models/fixtures/tiny-classifier'), to, { recursive: true })
  return to
}
const models = (...args: string[]) =>
  runNode(join(root, 'apps/cli/bin/millrace.js'), ['models', ...args], {
    MILLRACE_CONFIG: config,
    MILLRACE_DATA_DIR: join(folder, 'data'),
  })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-e2e-models-'))
  config = join(folder, 'millrace.json')
  copyOf('own')
  const entries = {
    [embedder]: {
      path: join(root, 'models/all-MiniLM-L6-v2'),
      limits: { batch_tokens: 128, batch_items: 4 },
    },
    [classifier]: { path: 'own', task: 'text-classification', dtype: 'fp32' },
    [reranker]: { path: join(root, 'models/fixtures/tiny-reranker'), task: 'rerank', dtype: 'fp32' },
  }
  await writeFile(config, JSON.stringify({ models: entries }))
  const kind = ['--alias', pinned, '--task', 'text-classification', '--dtype', 'fp32', '--json']
  const { code, stdout, stderr } = await models('add', `path:${copyOf('to-pin')}`, ...kind)
  if (code !== 0) throw new Error(stderr)
  added = JSON.parse(stdout).digest
  const env = { MILLRACE_CONFIG: config, MILLRACE_DATA_DIR: join(folder, 'data') }
  fleet = await startFleet({ root, workers: 0, env })
  ;[embedding, classifying] = await Promise.all([
    fleet.startWorker({ MILLRACE_MODELS: embedder }),
    fleet.startWorker({ MILLRACE_MODELS: classifier }),
  ])
})
afterAll(async () => {
  await fleet?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function modelOf(alias: string): Promise<Model> {
  const { data } = modelListSchema.parse((await call(fleet.url, '/v1/models')).body)
  const found = data.find(({ id }) => id === alias)
  if (!found) throw new Error(`no ${alias}`)
  return found
}
const workersOf = async (alias: string) => (await modelOf(alias)).workers
const pair = { query: 'Which river drives the mill?', text: 'The Aire drives it.' }

describe('two workers that serve a model each', () => {
  it('answer for both models, each its own, within limits of its own', async () => {
    const inputs = freshTexts(12)
    const [vectors, labels] = await Promise.all(
      [embedder, classifier].map(async (model) => {
        const job = jobOf(await post(fleet.url, { model, inputs }))
        return finished(fleet.url, job.id)
      }),
    )
    expect(vectors && vectorsOf(vectors)).toHaveLength(12)
    expect(labels).toMatchObject({ status: 'succeeded', model: classifier })
    for (const { url } of [embedding, classifying])
      expect(await metric(url, 'millrace_batch_items_sum')).toBe(12)
    // 4 items at most for one, 32 for the other.
    expect(await metric(embedding.url, 'millrace_batch_items_count')).toBeGreaterThanOrEqual(3)
    expect(await itemsComputed(fleet)).toBe(24)
  })

  it('say of themselves what they run, how, and how fast', async () => {
    const [one, other] = await Promise.all(
      [embedder, classifier].map((alias) =>
        eventually(async () => {
          const found = await modelOf(alias)
          return found.workers === 1 && found.tokens_per_s !== null && found
        }, soon),
      ),
    )
    expect(one?.served_by[0]).toMatchObject({
      version: one?.facts?.version,
      dtype: 'q8',
      batching: { tokens: 128, items: 4, timeout_ms: 30_000 },
      processes: 1,
      threads: 1,
      tokens_per_s: one?.tokens_per_s,
    })
    expect(other?.served_by[0]).toMatchObject({ dtype: 'fp32', batching: { tokens: 256, items: 32 } })
    const shown = await millrace(fleet, ['status', '--once', '--workers'])
    for (const served of [one, other]) expect(shown).toContain(served?.served_by[0]?.id)
  })
})

describe('a job of a model that no worker serves', () => {
  it('waits and says so, and is done once a worker comes', async () => {
    const job = jobOf(await post(fleet.url, { model: reranker, input: pair }))
    expect(job).toMatchObject({ status: 'queued', queue: { workers: 0 } })
    expect(jobOf(await call(fleet.url, `/v1/jobs/${job.id}`))).toMatchObject({ queue: { workers: 0 } })
    const worker = await fleet.startWorker({ MILLRACE_MODELS: reranker })
    expect(await finished(fleet.url, job.id)).toMatchObject({ status: 'succeeded', queue: null })
    await worker.kill('SIGTERM')
    await eventually(async () => (await workersOf(reranker)) === 0, soon)
  })

  it('is refused by configuration, until a worker comes', async () => {
    const { url } = await fleet.startGateway({ REQUIRE_WORKER: 'true' })
    const other = { ...pair, text: 'The Wharfe drives it.' }
    const refused = await post(url, { model: reranker, input: other })
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(problemOf(refused)).toMatchObject({ code: 'no_worker', retryable: true })
    const worker = await fleet.startWorker({ MILLRACE_MODELS: reranker })
    const taken = await post(url, { model: reranker, input: other }, { prefer: 'wait=20' })
    expect(jobOf(taken).status).toBe('succeeded')
    await worker.kill('SIGTERM')
  })
})

describe('a model whose files changed on disk', () => {
  it('under a pin stops a worker at its start, by both digests and the file, and nothing is served', async () => {
    appendFileSync(join(folder, 'to-pin/config.json'), ' ')
    const workers = await workersOf(classifier)
    const start = fleet.startWorker({ MILLRACE_MODELS: `${classifier},${pinned}` })
    const words = await start.then(
      () => '',
      (error: Error) => error.message,
    )
    // 78: starting it again will not help, and `millrace up` does not.
    expect(words).toMatch(/ended with 78:/)
    const found = JSON.parse((await models('verify', pinned, '--json')).stdout)[0]
    expect(found).toMatchObject({ state: 'changed' })
    expect(words).toContain(`pinned is ${added}`)
    expect(words).toContain(found.digest)
    expect(words).toContain('Changed: config.json.')
    expect(words).not.toContain('worker-ready')
    expect(await workersOf(pinned)).toBe(0)
    expect(await workersOf(classifier)).toBe(workers)
  })

  it('without a pin is another version: two at once are seen in /v1/models and said in the log', async () => {
    appendFileSync(join(folder, 'own/config.json'), ' ')
    const newer = await fleet.startWorker({ MILLRACE_MODELS: classifier })
    const seen = await eventually(async () => {
      const found = await modelOf(classifier)
      return found.versions.length === 2 && found
    }, soon)
    expect(seen.workers).toBe(2)
    expect(new Set(seen.served_by.map(({ version }) => version)).size).toBe(2)
    // The version of the worker that started last is the one that results are looked up by.
    const last = seen.served_by.toSorted((a, b) => (a.started_at < b.started_at ? 1 : -1))[0]
    expect(seen.facts?.version).toBe(last?.version)
    const line = `versions-differ: workers run ${classifier} at 2 versions`
    await eventually(() => fleet.gateways[0]?.output().includes(line), soon)
    await newer.kill('SIGTERM')
    await eventually(async () => (await modelOf(classifier)).versions.length === 1, soon)
    await eventually(() => fleet.gateways[0]?.output().includes(`all workers run ${classifier}`), soon)
  })
})

it('millrace.json keeps what models add did not touch', () => {
  const { models: entries } = JSON.parse(readFileSync(config, 'utf8'))
  expect(Object.keys(entries)).toEqual([embedder, classifier, reranker, pinned])
  expect(entries[pinned]).toEqual({
    path: 'to-pin',
    task: 'text-classification',
    dtype: 'fp32',
    digest: added,
  })
})
