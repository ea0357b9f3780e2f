import { contentKey, encodeVector } from '@millrace/cache'
import { MillraceError, type ModelFacts, writeMediaInput } from '@millrace/contracts'
import { knownJobJson, ResultTexts, storedJobJson } from '@millrace/job-view'
import type { KnownJob, NewJob, StoredJob } from '@millrace/jobs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ahead } from './ahead.js'
import type { GatewayEvent } from './events.js'
import { Gathering } from './gathering.js'
import { type SubmitContext, type SubmitRequest, submit } from './submit.js'

const facts: ModelFacts = {
  version: 'v1',
  task: 'feature-extraction',
  dtype: 'q8',
  dimensions: 1,
  max_tokens: 256,
  batching: { mode: 'batched', probe_difference: 0 },
}

/** Every text's vector is one number, so that an answer tells which input it belongs to. */
const vectorOf = (input: string) =>
  encodeVector(new Float32Array([[...input].reduce((n, c) => n + c.charCodeAt(0), 0)]))
const numbersOf = (inputs: readonly string[]) =>
  inputs.map((input) => [[...input].reduce((n, c) => n + c.charCodeAt(0), 0)])

function fleet(cached: ReadonlySet<string>, overrides: Partial<SubmitContext> = {}) {
  const keyOf = (input: string) =>
    contentKey({
      scope: 's',
      modelVersion: 'v1',
      task: 'feature-extraction',
      options: { truncate: false },
      input,
    })
  const values = new Map([...cached].map((input) => [keyOf(input), vectorOf(input)]))
  const done: string[] = []
  const created: NewJob[] = []
  const remembered: KnownJob[] = []
  const asked: string[][] = []
  const messages: string[] = []
  const events: GatewayEvent[] = []
  const context: SubmitContext = {
    chunkItems: 3,
    jobTtlMs: 1000,
    knownJobTtlMs: 500,
    webhookJobTtlMs: 5000,
    limits: { queueLimitChunks: 100, memoryLimit: 0.8, deadlineS: 60, requireWorker: false },
    cache: {
      async getMany(keys) {
        asked.push([...keys])
        const found = keys.map((key) => values.get(key))
        return { values: found, lruHits: found.filter(Boolean).length, redisHits: 0 }
      },
      async getOrAsk(key, { owner, message }) {
        const value = values.get(key)
        if (value) return { state: 'hit', value, inProcess: false }
        done.push(`ask ${owner}`)
        messages.push(message(key))
        return { state: 'asked' }
      },
    },
    store: {
      async create(job, begun) {
        done.push(begun ? 'create begun' : 'create')
        created.push(job)
        return true
      },
      async createTogether(job) {
        done.push('create together')
        created.push(job)
        return true
      },
      read: async () => undefined,
      async rememberKnown(job) {
        remembered.push(job)
      },
      async settle(_facts, status) {
        done.push(`settle ${status}`)
        return { state: 'gone' }
      },
    },
    queues: {
      async add(_model, _chunks, _priority, { delayMs = 0 } = {}) {
        done.push(delayMs > 0 ? `add in ${delayMs} ms` : 'add')
      },
    },
    list: {
      async add() {
        done.push('list')
      },
      async addTogether() {
        done.push('list together')
      },
    },
    watch: {
      async at() {
        done.push('watch')
      },
    },
    webhooks: {
      async add({ event }) {
        done.push(event)
      },
    },
    fleet: {
      model: () => ({ facts, workers: 1, waiting: 0, busy: false, chunksPerS: 0 }),
      factsOf: async () => facts,
      queued: () => {},
      refresh: async () => {},
      memory: undefined,
    },
    gathering: new Gathering(),
    // None is idle, unless a test says so.
    ahead: new Ahead({ idleWorkers: () => [] }, 5000, () => 0),
    now: () => 1_000_000,
    emit: (event) => events.push(event),
    ...overrides,
  }
  return { context, done, created, remembered, asked, messages, events }
}

const requestOf = (inputs: readonly string[], more: Partial<SubmitRequest> = {}): SubmitRequest => ({
  model: 'm',
  task: 'feature-extraction',
  inputs,
  single: false,
  options: { encoding: 'float' as const, truncate: false },
  requestId: 'r1',
  tenant: 't',
  scope: 's',
  priority: 0,
  metadata: {},
  webhook: null,
  startLimitMs: null,
  lifeLimitMs: null,
  repeatable: null,
  ...more,
})

const texts = new ResultTexts(1 << 20)

test('any mix of duplicates, hits and misses is answered in order and in full, and only misses are queued', async () => {
  const input = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
  await fc.assert(
    fc.asyncProperty(
      fc.array(input, { minLength: 1, maxLength: 30 }),
      fc.uniqueArray(input),
      async (inputs, known) => {
        const { context, created, remembered, asked } = fleet(new Set(known))
        const submitted = await submit(requestOf(inputs), context)
        const distinct = [...new Set(inputs)]
        const missing = distinct.filter((one) => !known.includes(one))
        expect(asked.map((keys) => keys.length)).toEqual([distinct.length])
        if (missing.length === 0) {
          if (submitted.kind !== 'known') throw new Error('it was queued')
          expect(created).toEqual([])
          expect(remembered).toHaveLength(1)
          const job = JSON.parse(String(knownJobJson(submitted.job, submitted.results, texts)))
          expect(job.output).toEqual(numbersOf(inputs))
          return
        }
        if (submitted.kind !== 'accepted') throw new Error(`it was called ${submitted.kind}`)
        const [record] = created
        const queued = record?.chunks.flat() ?? []
        expect(queued.map((item) => item.input)).toEqual(missing)
        expect(record?.chunks.every((chunk) => chunk.length <= 3 && chunk.length > 0)).toBe(true)
        // What a worker would do: a result for each queued slot.
        const outputs = new Map(submitted.job.outputs)
        for (const { slot, input: text } of queued) outputs.set(slot, vectorOf(text))
        const settled = { ...submitted.job, status: 'succeeded' as const, outputs }
        const job = JSON.parse(
          String(storedJobJson(settled, texts, { waiting: 0, chunksPerS: 0, workers: 1 })),
        )
        expect(job.output).toEqual(numbersOf(inputs))
        expect(job.metrics.cache).toEqual({
          hits: distinct.length - missing.length,
          misses: missing.length,
          joined: 0,
        })
      },
    ),
    { numRuns: 300 },
  )
})

describe('a job that a client waits for, of one small input, while a worker is idle', () => {
  const idle = () => ({ ahead: new Ahead({ idleWorkers: () => ['w'] }, 5000, () => 0) })
  const never = () => new Promise(() => {})

  test('is told ahead under the id of its record, which is written as begun, and is queued for later', async () => {
    const { context, done, created, messages } = fleet(new Set(), idle())
    const submitted = await submit(requestOf(['a']), context, async () => done.push('listen'))
    expect(done).toEqual(['ask w', 'listen', 'create begun', 'list', 'add in 1000 ms'])
    const [told] = messages
    if (submitted.kind !== 'accepted') throw new Error(`it was called ${submitted.kind}`)
    expect(JSON.parse(told ?? '')[1]).toMatchObject({
      id: created[0]?.id,
      slots: [0],
      createdAtMs: 1_000_000,
    })
    expect(submitted.job.id).toBe(created[0]?.id)
  })

  test('is answered from the cache as any other', async () => {
    const { context, done } = fleet(new Set(['a']), idle())
    expect(await submit(requestOf(['a']), context, never)).toMatchObject({ kind: 'known' })
    expect(done).toEqual([])
  })

  test('keeps the worker to itself until nobody waits for it any more', async () => {
    const { context, done } = fleet(new Set(), idle())
    let leave: (value?: unknown) => void = () => {}
    await submit(requestOf(['a']), context, () => new Promise((resolve) => (leave = resolve)))
    await submit(requestOf(['b']), context, never)
    expect(done.filter((what) => what.startsWith('ask'))).toHaveLength(1)
    leave()
    await Promise.resolve().then(() => {})
    await submit(requestOf(['c']), context, never)
    expect(done.filter((what) => what.startsWith('ask'))).toHaveLength(2)
  })

  test.each([
    { what: 'nobody waits for', waits: false },
    { what: 'has several inputs', inputs: ['a', 'b'] },
    { what: 'has a limit', more: { lifeLimitMs: 5000 } },
    { what: 'may be sent again', more: { repeatable: { id: 'i', digest: 'd' } } },
    { what: 'has a webhook', more: { webhook: { url: 'https://example.com', events: [] } } },
    { what: 'draws its results', more: { options: { encoding: 'float', truncate: false, unshared: true } } },
    { what: 'writes a text', more: { task: 'text-generation' } },
  ] as const)('is left to the queue where it $what', async (one) => {
    const { waits, inputs, more } = { waits: true, inputs: ['a'], more: {}, ...one }
    const { context, done } = fleet(new Set(), idle())
    await submit(requestOf(inputs, more as Partial<SubmitRequest>), context, waits ? never : undefined)
    expect(done).toContain('add')
    expect(done.some((what) => what.startsWith('ask'))).toBe(false)
  })
})

describe('order of the steps', () => {
  test('whoever waits listens first; then comes the record, and then the queue', async () => {
    const { context, done } = fleet(new Set())
    await submit(requestOf(['a']), context, async () => done.push('listen'))
    expect(done).toEqual(['listen', 'create together', 'list together', 'add'])
  })

  test('a job that could not be queued is settled as failed and the fault is told', async () => {
    const fault = new MillraceError('queue_unavailable', 'away')
    const { context, done } = fleet(new Set(), { queues: { add: () => Promise.reject(fault) } })
    await expect(submit(requestOf(['a']), context)).rejects.toBe(fault)
    expect(done).toEqual(['create together', 'list together', 'settle failed'])
  })

  test('a refused job leaves nothing behind', async () => {
    const full = { queueLimitChunks: 0, memoryLimit: 0.8, deadlineS: 60, requireWorker: false }
    const { context, done, events } = fleet(new Set(), { limits: full })
    await expect(submit(requestOf(['a']), context)).rejects.toMatchObject({ code: 'queue_full' })
    expect(done).toEqual([])
    expect(events).toContainEqual({ type: 'refused', model: 'm', code: 'queue_full', retryAfterS: 15 })
  })
})

describe('what is known', () => {
  test('an answer known in full needs no queue: neither admission nor its failure touches it', async () => {
    const { context, events } = fleet(new Set(['a']), {
      limits: { queueLimitChunks: 0, memoryLimit: 0, deadlineS: 1, requireWorker: false },
      store: {
        create: () => Promise.reject(new Error('away')),
        createTogether: () => Promise.reject(new Error('away')),
        read: () => Promise.reject(new Error('away')),
        rememberKnown: () => Promise.reject(new Error('away')),
        settle: () => Promise.reject(new Error('away')),
      },
    })
    expect((await submit(requestOf(['a'], { single: true }), context)).kind).toBe('known')
    await Promise.resolve()
    expect(events.map(({ type }) => type)).toContain('remember-failed')
  })

  test('while no worker has said which version runs, everything is a miss and the cache is not asked', async () => {
    const { context, asked } = fleet(new Set(['a']))
    const unknown = { ...context, fleet: { ...context.fleet, factsOf: async () => undefined } }
    expect((await submit(requestOf(['a']), unknown)).kind).toBe('accepted')
    expect(asked).toEqual([])
  })

  test('the small record holds keys and inputs of the distinct items, and its own end', async () => {
    const { context, remembered } = fleet(new Set(['a', 'b']))
    await submit(requestOf(['a', 'b', 'a']), context)
    expect(remembered[0]).toMatchObject({ slots: [0, 1, 0], inputs: ['a', 'b'], expiresAtMs: 1_000_500 })
    expect(remembered[0]?.keys).toHaveLength(2)
  })
})

describe('a job with a limit or a webhook is looked at from outside', () => {
  const webhook = { url: 'https://example.com', events: ['job.succeeded' as const] }

  test.each<[string, Partial<SubmitRequest>]>([
    ['a webhook', { webhook }],
    ['a limit of its life', { lifeLimitMs: 50 }],
  ])('from before its record is written: %s', async (_name, more) => {
    const { context, done } = fleet(new Set())
    await submit(requestOf(['a'], more), context)
    expect(done).toEqual(['watch', 'create together', 'list together', 'add'])
  })

  test('at its first limit', async () => {
    const due: number[] = []
    const watch = { at: async (_id: string, atMs: number) => void due.push(atMs) }
    const { context } = fleet(new Set(), { watch })
    await submit(requestOf(['a'], { webhook }), context)
    await submit(requestOf(['a'], { webhook, startLimitMs: 70 }), context)
    await submit(requestOf(['a'], { webhook, startLimitMs: 70, lifeLimitMs: 50 }), context)
    expect(due).toEqual([1_060_001, 1_000_071, 1_000_051])
  })

  test('known in full it has a record all the same, settled as it is written, and its webhook is told', async () => {
    const { context, done, created } = fleet(new Set(['a']))
    const submitted = await submit(requestOf(['a'], { webhook }), context)
    expect(done).toEqual(['watch', 'create', 'list', 'job.succeeded'])
    expect(created[0]).toMatchObject({ chunks: [], knownCount: 1, ttlMs: 5000 })
    expect(submitted).toMatchObject({
      kind: 'accepted',
      job: { status: 'succeeded', startedAtMs: 1_000_000 },
    })
  })

  test('a webhook for other events is not told of that', async () => {
    const { context, done } = fleet(new Set(['a']))
    await submit(requestOf(['a'], { webhook: { ...webhook, events: ['job.failed'] } }), context)
    expect(done).not.toContain('job.succeeded')
  })
})

describe('limits of a job', () => {
  test.each<[string, Partial<SubmitRequest>, number, number | null]>([
    ['the gateway’s own, where none is asked for', {}, 60_000, null],
    ['the client’s, to be taken', { startLimitMs: 5 }, 5, null],
    ['the client’s, to be settled', { lifeLimitMs: 5 }, 60_000, 5],
    ['a long life leaves as long to be taken', { lifeLimitMs: 90_000 }, 90_000, 90_000],
  ])('%s', async (_name, more, startLimitMs, lifeLimitMs) => {
    const { context, created } = fleet(new Set())
    await submit(requestOf(['a'], more), context)
    expect(created[0]).toMatchObject({ startLimitMs, lifeLimitMs, ttlMs: 1000 })
  })
})

describe('a request that may be sent again', () => {
  const repeatable = { id: '01890000-0000-8000-8000-000000000000', digest: 'd1' }
  const again = requestOf(['a', 'b', 'c', 'd'], { repeatable })

  /** A store of one job, as the first request left it. */
  async function afterFirst(change: Partial<StoredJob> = {}, overrides: Partial<SubmitContext> = {}) {
    const first = await submit(again, fleet(new Set()).context)
    if (first.kind !== 'accepted') throw new Error(`it was called ${first.kind}`)
    const { context, done, events } = fleet(new Set(['a', 'b', 'c', 'd']), overrides)
    const added: unknown[] = []
    const queues = { add: async (...given: unknown[]) => void added.push(given) }
    const store = { ...context.store, read: async () => ({ ...first.job, ...change }) }
    return { context: { ...context, queues, store }, done, added, events, first: first.job }
  }

  test('makes the job under its own id', async () => {
    const { context, created } = fleet(new Set())
    await submit(again, context)
    expect(created[0]).toMatchObject({ id: repeatable.id, requestDigest: 'd1' })
  })

  test('has a record even where everything is known: it is what a repeat finds', async () => {
    const { context, created, remembered } = fleet(new Set(['a', 'b', 'c', 'd']))
    const submitted = await submit(again, context)
    expect([submitted.kind, remembered, created[0]?.chunks]).toEqual(['accepted', [], []])
  })

  test('answers its repeat with the first job, and lists and queues it again: it may never have been', async () => {
    const { context, added, done, first, events } = await afterFirst()
    expect(await submit(again, context)).toEqual({ kind: 'repeated', job: first })
    expect(added).toEqual([['m', { jobId: repeatable.id, run: 0, chunks: [0, 1] }, 0]])
    expect(done).toEqual(['list'])
    expect(events).toEqual([])
  })

  test('lists and queues nothing of a job that was taken', async () => {
    for (const status of ['processing', 'succeeded', 'canceled'] as const) {
      const { context, added, done } = await afterFirst({ status })
      expect((await submit(again, context)).kind).toBe('repeated')
      expect([added, done]).toEqual([[], []])
    }
  })

  test('lists a job that was settled as it was written: nothing says that it is listed', async () => {
    const { context, added, done } = await afterFirst({ status: 'succeeded', chunks: 0 })
    expect((await submit(again, context)).kind).toBe('repeated')
    expect([added, done]).toEqual([[], ['list']])
  })

  test.each<[string, Partial<StoredJob>]>([
    ['another body', { requestDigest: 'd2' }],
    ['a job that was not made by such a request', { requestDigest: null }],
    ['another tenant’s', { tenant: 'u' }],
  ])('is refused in the same words, and changes nothing: %s', async (_name, change) => {
    const { context, added, done } = await afterFirst(change)
    await expect(submit(again, context)).rejects.toMatchObject({
      code: 'idempotency_mismatch',
      message: `The job ${repeatable.id} was made by a request that asked for something else`,
    })
    expect([added, done]).toEqual([[], []])
  })

  test('is refused under the id of a job that was answered at once', async () => {
    const { context, remembered } = fleet(new Set(['a']))
    await submit(requestOf(['a']), context)
    const store = { ...context.store, read: async () => remembered[0] }
    await expect(submit(again, { ...context, store })).rejects.toMatchObject({ code: 'idempotency_mismatch' })
  })

  test('is told that the result is gone, once it is', async () => {
    const { context } = await afterFirst({ expiresAtMs: 999_999, status: 'succeeded' })
    await expect(submit(again, context)).rejects.toMatchObject({ code: 'job_gone' })
  })

  test('that comes second at the same moment queues and lists the first job, and nothing of its own', async () => {
    const { context, added, done, first } = await afterFirst()
    const reads = [undefined, first]
    const store = {
      ...context.store,
      read: async () => reads.shift(),
      create: async () => {
        done.push('create')
        return false
      },
    }
    const missing = { ...context, store, cache: fleet(new Set()).context.cache }
    expect(await submit(again, missing)).toEqual({ kind: 'repeated', job: first })
    expect(done).toEqual(['create', 'list'])
    expect(added).toEqual([['m', { jobId: repeatable.id, run: 0, chunks: [0, 1] }, 0]])
  })

  test('that could not be queued is not settled: its repeat completes it', async () => {
    const fault = new MillraceError('queue_unavailable', 'away')
    const { context, done } = fleet(new Set(), { queues: { add: () => Promise.reject(fault) } })
    await expect(submit(again, context)).rejects.toBe(fault)
    expect(done).toEqual(['create', 'list'])
  })
})

describe('a job with files', () => {
  const fileOf = (name: string) =>
    writeMediaInput({ kind: 'image', type: 'image/png', bytes: 40, digest: name.padEnd(43, '-') })
  const [known, missing] = [fileOf('known'), fileOf('missing')]
  const blobs = new Map([known, missing].map((input) => [input, Buffer.alloc(40)]))

  test('stores the bytes of what has to be computed, and no others', async () => {
    const { context, created } = fleet(new Set([known]))
    await submit(requestOf([known, missing], { blobs }), context)
    expect([...(created[0]?.blobs?.keys() ?? [])]).toEqual(['missing'.padEnd(43, '-')])
  })

  test('has a record of its own, without bytes, where all is known: nothing is ever computed again', async () => {
    const { context, created, remembered } = fleet(new Set([known]))
    expect((await submit(requestOf([known], { blobs }), context)).kind).toBe('accepted')
    expect([remembered.length, created[0]?.blobs, created[0]?.known.size]).toEqual([0, undefined, 1])
  })

  test('travels alone, however short what stands for them is', async () => {
    const companies: unknown[] = []
    const queues: SubmitContext['queues'] = {
      add: async (_model, _chunks, _priority, { company } = {}) => void companies.push(company),
    }
    const { context } = fleet(new Set(), { queues })
    await submit(requestOf(['a text']), context)
    await submit(requestOf([missing], { blobs }), context)
    expect(companies).toEqual([{ workers: 1, chars: 6 }, undefined])
  })

  test('is refused where its bytes would fill the queue store', async () => {
    const [queued, memory] = [[] as number[], { used: 750, max: 1000 }]
    const { context } = fleet(new Set())
    const room = {
      ...context.fleet,
      memory,
      queued: (_: string, _chunks: number, bytes = 0) => queued.push(bytes),
    }
    await submit(requestOf([known], { blobs }), { ...context, fleet: room })
    expect(queued).toEqual([40])
    const both = submit(requestOf([known, missing], { blobs }), { ...context, fleet: room })
    await expect(both).rejects.toMatchObject({ code: 'queue_memory' })
  })
})
