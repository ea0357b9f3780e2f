import { contentKey, encodeVector } from '@millrace/cache'
import type { ModelFacts } from '@millrace/contracts'
import { MillraceError } from '@millrace/contracts'
import { knownJobText, ResultTexts, storedJobText } from '@millrace/job-view'
import type { KnownJob, NewJob } from '@millrace/jobs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GatewayEvent } from './events.js'
import { type SubmitContext, submit } from './submit.js'

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
  const events: GatewayEvent[] = []
  const context: SubmitContext = {
    scope: 's',
    chunkItems: 3,
    jobTtlMs: 1000,
    knownJobTtlMs: 500,
    limits: { queueLimitChunks: 100, memoryLimit: 0.8, deadlineS: 60 },
    cache: {
      async getMany(keys) {
        asked.push([...keys])
        const found = keys.map((key) => values.get(key))
        return { values: found, lruHits: found.filter(Boolean).length, redisHits: 0 }
      },
    },
    store: {
      async create(job) {
        done.push('create')
        created.push(job)
        return true
      },
      async rememberKnown(job) {
        remembered.push(job)
      },
      async settle(_facts, status) {
        done.push(`settle ${status}`)
        return { state: 'gone' }
      },
    },
    queues: {
      async add() {
        done.push('add')
      },
    },
    fleet: {
      model: () => ({ facts, workers: 1, waiting: 0, chunksPerS: 0 }),
      factsOf: async () => facts,
      queued: () => {},
      memory: undefined,
    },
    now: () => 1_000_000,
    emit: (event) => events.push(event),
    ...overrides,
  }
  return { context, done, created, remembered, asked, events }
}

const requestOf = (inputs: readonly string[], single = false) => ({
  model: 'm',
  task: 'feature-extraction' as const,
  inputs,
  single,
  options: { encoding: 'float' as const, truncate: false },
  requestId: 'r1',
  tenant: 't',
  priority: 0,
  metadata: {},
  webhook: null,
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
          const job = JSON.parse(knownJobText(submitted.job, submitted.results, texts))
          expect(job.output).toEqual(numbersOf(inputs))
          return
        }
        if (submitted.kind !== 'queued') throw new Error('it was called known')
        const [record] = created
        const queued = record?.chunks.flat() ?? []
        expect(queued.map((item) => item.input)).toEqual(missing)
        expect(record?.chunks.every((chunk) => chunk.length <= 3 && chunk.length > 0)).toBe(true)
        // What a worker would do: a result for each queued slot.
        const outputs = new Map(submitted.job.outputs)
        for (const { slot, input: text } of queued) outputs.set(slot, vectorOf(text))
        const settled = { ...submitted.job, status: 'succeeded' as const, outputs }
        const job = JSON.parse(storedJobText(settled, texts, { waiting: 0, chunksPerS: 0 }))
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

describe('order of the steps', () => {
  test('whoever waits listens after the record and before the queue', async () => {
    const { context, done } = fleet(new Set())
    await submit(requestOf(['a']), context, () => done.push('listen'))
    expect(done).toEqual(['create', 'listen', 'add'])
  })

  test('a job that could not be queued is settled as failed and the fault is told', async () => {
    const fault = new MillraceError('queue_unavailable', 'away')
    const { context, done } = fleet(new Set(), { queues: { add: () => Promise.reject(fault) } })
    await expect(submit(requestOf(['a']), context)).rejects.toBe(fault)
    expect(done).toEqual(['create', 'settle failed'])
  })

  test('a refused job leaves nothing behind', async () => {
    const full = { queueLimitChunks: 0, memoryLimit: 0.8, deadlineS: 60 }
    const { context, done, events } = fleet(new Set(), { limits: full })
    await expect(submit(requestOf(['a']), context)).rejects.toMatchObject({ code: 'queue_full' })
    expect(done).toEqual([])
    expect(events).toContainEqual({ type: 'refused', model: 'm', code: 'queue_full', retryAfterS: 15 })
  })
})

describe('what is known', () => {
  test('an answer known in full needs no queue: neither admission nor its failure touches it', async () => {
    const { context, events } = fleet(new Set(['a']), {
      limits: { queueLimitChunks: 0, memoryLimit: 0, deadlineS: 1 },
      store: {
        create: () => Promise.reject(new Error('away')),
        rememberKnown: () => Promise.reject(new Error('away')),
        settle: () => Promise.reject(new Error('away')),
      },
    })
    expect((await submit(requestOf(['a'], true), context)).kind).toBe('known')
    await Promise.resolve()
    expect(events.map(({ type }) => type)).toContain('remember-failed')
  })

  test('while no worker has said which version runs, everything is a miss and the cache is not asked', async () => {
    const { context, asked } = fleet(new Set(['a']))
    const unknown = { ...context, fleet: { ...context.fleet, factsOf: async () => undefined } }
    expect((await submit(requestOf(['a']), unknown)).kind).toBe('queued')
    expect(asked).toEqual([])
  })

  test('the small record holds keys and inputs of the distinct items, and its own end', async () => {
    const { context, remembered } = fleet(new Set(['a', 'b']))
    await submit(requestOf(['a', 'b', 'a']), context)
    expect(remembered[0]).toMatchObject({ slots: [0, 1, 0], inputs: ['a', 'b'], expiresAtMs: 1_000_500 })
    expect(remembered[0]?.keys).toHaveLength(2)
  })
})
