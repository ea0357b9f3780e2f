import { decodeResult, encodeError, encodeVector } from '@millrace/cache'
import {
  type ChunkDelivery,
  type ChunkResult,
  freshProgress,
  type JobFacts,
  type TakenChunk,
} from '@millrace/jobs'
import { describe, expect, it } from 'vitest'
import type { ItemAnswer } from './compute-items.js'
import type { WorkerEvent } from './events.js'
import { GivenBack } from './given-back.js'
import { type ProcessJobContext, processJob } from './process-job.js'

const facts: JobFacts = {
  id: 'job',
  model: 'm',
  scope: 's',
  tenant: 't',
  priority: 0,
  metadata: {},
  webhook: null,
  requestId: 'r',
  single: false,
  encoding: 'float',
  truncate: false,
  slots: [0, 1],
  slotCount: 2,
  knownCount: 0,
  createdAtMs: 0,
  deadlineAtMs: 1000,
  ttlMs: 5000,
}
const items = [
  { slot: 0, input: 'a' },
  { slot: 1, input: 'b' },
]
const taken: TakenChunk = { state: 'taken', facts, startedAtMs: 10, items }
const vector = encodeVector(new Float32Array([1]))
const batch = { size: 2, predictMs: 8 }
const computed = (bytes = vector): ItemAnswer => ({ bytes, via: 'computed', tokenizeMs: 1, batch })

function setUp(options: {
  take?: TakenChunk
  answers?: (Promise<ItemAnswer> | ItemAnswer)[]
  delivery?: Partial<ChunkDelivery>
  storeFails?: boolean
}) {
  const done: string[] = []
  const computing: string[] = []
  const stored: ChunkResult[] = []
  const events: WorkerEvent[] = []
  const note = (what: string) => async () => {
    done.push(what)
  }
  const delivery: ChunkDelivery = {
    jobId: 'job',
    chunk: 0,
    attempt: 1,
    lastAttempt: false,
    givenUp: undefined,
    complete: note('complete'),
    fail: note('fail'),
    giveBack: note('give back'),
    ...options.delivery,
  }
  const progress = { ...freshProgress(1), status: 'succeeded' as const }
  const store: Partial<ProcessJobContext['store']> = {
    take: async () => options.take ?? taken,
    storeChunk: async (result) => {
      if (options.storeFails) throw new Error('away')
      done.push('store')
      stored.push(result)
      return { state: 'settled-now', facts, progress }
    },
    settle: async (_facts, status) => {
      done.push(`settle ${status}`)
      return { state: 'settled-now', facts, progress: { ...progress, status } }
    },
  }
  const context: ProcessJobContext = {
    alias: 'm',
    task: 'feature-extraction',
    modelVersion: 'v1',
    store: store as ProcessJobContext['store'],
    computer: {
      compute: (requests) => {
        computing.push(...requests.map(({ input }) => input))
        return (options.answers ?? [computed(), computed()]).map((one) => Promise.resolve(one))
      },
    },
    teller: { tell: note('tell') } as unknown as ProcessJobContext['teller'],
    now: () => 20,
    emit: (event) => events.push(event),
    onStored: () => {},
  }
  return { done, computing, stored, events, run: () => processJob(delivery, context) }
}

describe('a chunk', () => {
  it('is stored, then told, and only then completed', async () => {
    const { done, stored, run } = setUp({})
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    // Two items of one batch: its time counts once.
    expect(stored[0]).toMatchObject({ failed: 0, predictUs: 8000, tokenizeUs: 2000, batchSize: 2 })
  })

  it.each(['gone', 'settled', 'stored'] as const)(
    'that is %s costs nothing and is completed',
    async (state) => {
      const { done, computing, run } = setUp({ take: { state } })
      await run()
      expect(done).toEqual(['complete'])
      expect(computing).toEqual([])
    },
  )

  it('past its deadline settles the job as expired without computing', async () => {
    const { done, computing, run } = setUp({ take: { state: 'late', facts } })
    await run()
    expect(computing).toEqual([])
    expect(done).toEqual(['settle expired', 'tell', 'complete'])
  })

  it('counts hits, joined items and failures apart', async () => {
    const error = encodeError({ code: 'input_too_long', detail: 'x' })
    const joined: ItemAnswer = { bytes: vector, via: 'joined', tokenizeMs: 0, batch: null }
    const { stored, run } = setUp({ answers: [computed(error), joined] })
    await run()
    expect(stored[0]).toMatchObject({ failed: 1, joined: 1, hits: 0 })
  })
})

describe('a chunk that cannot be finished', () => {
  it('is given back when the worker stops, which is no failed try', async () => {
    const { done, run } = setUp({ answers: [computed(), Promise.reject(new GivenBack())] })
    await run()
    expect(done).toEqual(['give back'])
  })

  it('is tried again while there are tries left', async () => {
    const { done, run } = setUp({ answers: [computed(), Promise.reject(new Error('no model'))] })
    await run()
    expect(done).toEqual(['fail'])
  })

  it('fails its items on the last try, so that the job is settled', async () => {
    const { done, stored, run } = setUp({
      answers: [Promise.reject(new Error('no model')), computed()],
      delivery: { lastAttempt: true },
    })
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(stored[0]?.failed).toBe(2)
    expect(decodeResult(stored[0]?.results.get(1) ?? Buffer.alloc(0))).toMatchObject({
      kind: 'error',
      error: { code: 'inference_failed' },
    })
  })

  it('is failed, not computed, when it took its workers along again and again', async () => {
    const { done, stored, run } = setUp({ delivery: { givenUp: 'job stalled more than allowable limit' } })
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(stored[0]?.failed).toBe(2)
  })

  it('goes back when its results could not be stored', async () => {
    const { done, events, run } = setUp({ storeFails: true })
    await run()
    expect(done).toEqual(['fail'])
    expect(events.map(({ type }) => type)).toContain('chunk-failed')
  })
})
