import { decodeResult, encodeError, encodeVector } from '@millrace/cache'
import { MillraceError, type WebhookEvent } from '@millrace/contracts'
import {
  type ChunkDelivery,
  type ChunkResult,
  freshProgress,
  type JobFacts,
  type StoreOutcome,
  type TakenChunk,
  type WebhookData,
} from '@millrace/jobs'
import { describe, expect, it } from 'vitest'
import { ChunksInHand } from './chunks-in-hand.js'
import type { WorkerEvent } from './events.js'
import { GivenBack } from './given-back.js'
import type { ItemAnswer } from './items-in-flight.js'
import { type ProcessJobContext, processJob } from './process-job.js'

const facts: JobFacts = {
  id: 'job',
  model: 'm',
  scope: 's',
  tenant: 't',
  priority: 0,
  metadata: {},
  webhook: null,
  requestDigest: null,
  requestId: 'r',
  single: false,
  encoding: 'float',
  truncate: false,
  slots: [0, 1],
  slotCount: 2,
  knownCount: 0,
  createdAtMs: 0,
  startLimitMs: 1000,
  lifeLimitMs: null,
  ttlMs: 5000,
}
const items = [
  { slot: 0, input: 'a' },
  { slot: 1, input: 'b' },
]
const taken = { state: 'taken', facts, startedAtMs: 10, settleByMs: null, items, first: true } as const
const telling = (...events: WebhookEvent[]): JobFacts => ({
  ...facts,
  webhook: { url: 'https://example.com', events },
})
const vector = encodeVector(new Float32Array([1]))
const batch = { size: 2, predictMs: 8 }
const computed = (bytes = vector): ItemAnswer => ({ bytes, via: 'computed', tokenizeMs: 1, batch })
const now = 20

/** @param options.takes what the store answers, one take after the other; the last one stays */
function setUp(options: {
  takes?: TakenChunk[]
  answers?: (Promise<ItemAnswer> | ItemAnswer)[] | 'never'
  delivery?: Partial<ChunkDelivery>
  store?: Partial<ProcessJobContext['store']>
  webhooksFail?: boolean
}) {
  const done: string[] = []
  const computing: string[] = []
  const stored: ChunkResult[] = []
  const told: (string | undefined)[] = []
  const tellings: Parameters<ProcessJobContext['teller']['tell']>[0][] = []
  const webhooks: WebhookData[] = []
  const events: WorkerEvent[] = []
  const inHand = new ChunksInHand()
  const takes = [...(options.takes ?? [taken])]
  const note = (what: string) => async () => {
    done.push(what)
  }
  const delivery: ChunkDelivery = {
    jobId: 'job',
    run: 0,
    chunk: 0,
    ageMs: 10,
    attempt: 1,
    lastAttempt: false,
    givenUp: undefined,
    complete: note('complete'),
    fail: note('fail'),
    giveBack: note('give back'),
    ...options.delivery,
  }
  const progress = {
    ...freshProgress(1, { startByMs: 1000, settleByMs: null }),
    status: 'succeeded' as const,
    run: delivery.run,
  }
  let computingNow: () => void = () => {}
  const context: ProcessJobContext = {
    alias: 'm',
    task: 'feature-extraction',
    modelVersion: 'v1',
    store: {
      take: async () => {
        const one = takes.length > 1 ? takes.shift() : takes[0]
        if (!one) throw new Error('nothing to take')
        return one
      },
      storeChunk: async (result, _nowMs, tell) => {
        done.push('store')
        stored.push(result)
        told.push(tell?.channel)
        return { state: 'settled-now', facts: options.takes?.find(isTaken)?.facts ?? facts, progress }
      },
      settle: async (_facts, status) => {
        done.push(`settle ${status}`)
        const late = options.takes?.find((one) => one.state === 'late')
        const outcome: StoreOutcome = {
          state: 'settled-now',
          facts: late?.facts ?? facts,
          progress: { ...progress, status },
        }
        return outcome
      },
      ...options.store,
    },
    computer: {
      compute: (requests, { signal }) => {
        computing.push(...requests.map(({ input }) => input))
        computingNow()
        const { answers = [computed(), computed()] } = options
        if (answers !== 'never') return answers.map((one) => Promise.resolve(one))
        return requests.map(
          () =>
            new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason))
            }),
        )
      },
    },
    inHand,
    teller: {
      tell: async (settled) => {
        done.push('tell')
        tellings.push(settled)
      },
    },
    webhooks: {
      add: async (data) => {
        if (options.webhooksFail) throw new MillraceError('queue_unavailable', 'away')
        done.push(data.event)
        webhooks.push(data)
      },
    },
    now: () => now,
    emit: (event) => events.push(event),
    onStored: () => {},
    onSeen: () => {},
  }
  const isComputing = new Promise<void>((resolve) => {
    computingNow = resolve
  })
  return {
    done,
    computing,
    stored,
    /** The channel, where the store was asked to tell. */
    told,
    tellings,
    webhooks,
    events,
    inHand,
    isComputing,
    run: () => processJob(delivery, context),
  }
}

function isTaken(one: TakenChunk): one is Extract<TakenChunk, { state: 'taken' }> {
  return one.state === 'taken'
}

describe('a chunk', () => {
  it('is stored, then told, and only then completed', async () => {
    const { done, stored, run } = setUp({})
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    // Two items of one batch: its time counts once.
    expect(stored[0]).toMatchObject({ failed: 0, predictUs: 8000, tokenizeUs: 2000, batchSize: 2 })
  })

  it.each([
    { state: 'retried' },
    { state: 'stored' },
    { state: 'settled', facts, status: 'failed' },
  ] as const)('that is $state costs nothing and is completed', async (one) => {
    const { done, computing, events, run } = setUp({ takes: [one] })
    await run()
    expect(done).toEqual(['complete'])
    expect(computing).toEqual([])
    expect(events).toMatchObject([{ type: 'chunk-passed-over', why: one.state }])
  })

  it.each([
    { ageMs: 4999, lastAttempt: false, end: 'fail', what: 'is young goes back: its record may follow' },
    { ageMs: 5000, lastAttempt: false, end: 'complete', what: 'is old is completed' },
    { ageMs: 4999, lastAttempt: true, end: 'complete', what: 'is young is completed on its last try' },
  ])('without a record that $what', async ({ end, ...delivery }) => {
    const { done, computing, run } = setUp({ takes: [{ state: 'gone' }], delivery })
    await run()
    expect(done).toEqual([end])
    expect(computing).toEqual([])
  })

  it('past its limit settles the job as expired without computing', async () => {
    const { done, computing, run } = setUp({ takes: [{ state: 'late', facts }] })
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

describe('a chunk whose job is canceled while it is computed', () => {
  it('is completed at once, and nothing of it is stored', async () => {
    const { done, events, inHand, isComputing, run } = setUp({ answers: 'never' })
    const running = run()
    await isComputing
    inHand.cancel('other')
    inHand.cancel('job')
    await running
    expect(done).toEqual(['complete'])
    expect(events).toMatchObject([{ type: 'chunk-taken' }, { type: 'chunk-passed-over', why: 'canceled' }])
  })

  it('does so on its last try too', async () => {
    const { done, inHand, isComputing, run } = setUp({ answers: 'never', delivery: { lastAttempt: true } })
    const running = run()
    await isComputing
    inHand.cancel('job')
    await running
    expect(done).toEqual(['complete'])
  })
})

describe('a chunk whose job passes its limit while it is computed', () => {
  const limited = { ...taken, settleByMs: now + 1 }

  it('settles it as expired, tells, and stores nothing', async () => {
    const late = { state: 'late', facts: telling('job.expired') } as const
    const { done, tellings, events, run } = setUp({ takes: [limited, late], answers: 'never' })
    await run()
    expect(done).toEqual(['settle expired', 'tell', 'job.expired', 'complete'])
    expect(tellings).toMatchObject([{ facts: { id: 'job' }, progress: { status: 'expired' } }])
    expect(events.map(({ type }) => type)).toEqual(['chunk-taken', 'chunk-passed-over', 'job-settled'])
  })

  it('leaves alone the next run of a job that was tried again meanwhile', async () => {
    const { done, run } = setUp({ takes: [limited, { state: 'retried' }], answers: 'never' })
    await run()
    expect(done).toEqual(['complete'])
  })

  it('goes on where the record says that there is time left', async () => {
    const { done, inHand, computing, isComputing, run } = setUp({ takes: [limited, taken], answers: 'never' })
    const running = run()
    await isComputing
    await expect.poll(() => computing).toEqual(['a', 'b', 'a', 'b'])
    inHand.cancel('job')
    await running
    expect(done).toEqual(['complete'])
  })

  it('is stored as usual where it was computed in time', async () => {
    const { done, run } = setUp({ takes: [{ ...taken, settleByMs: now + 60_000 }] })
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
  })
})

describe('telling', () => {
  it('of a start is done once, before anything is computed, where a webhook asks for it', async () => {
    const { done, webhooks, run } = setUp({ takes: [{ ...taken, facts: telling('job.started') }] })
    await run()
    expect(done).toEqual(['job.started', 'store', 'tell', 'complete'])
    expect(webhooks).toEqual([{ job: 'job', run: 0, event: 'job.started' }])
  })

  it('of a start is not done by a chunk that did not start the job, nor where nobody asks', async () => {
    const second = setUp({ takes: [{ ...taken, facts: telling('job.started'), first: false }] })
    await second.run()
    expect(second.webhooks).toEqual([])
    const unasked = setUp({ takes: [{ ...taken, facts: telling('job.failed') }] })
    await unasked.run()
    expect(unasked.webhooks).toEqual([])
  })

  it('of an end names the run that ended', async () => {
    const { done, webhooks, run } = setUp({
      takes: [{ ...taken, facts: telling('job.succeeded', 'job.failed') }],
      delivery: { run: 2 },
    })
    await run()
    expect(done).toEqual(['store', 'tell', 'job.succeeded', 'complete'])
    expect(webhooks).toEqual([{ job: 'job', run: 2, event: 'job.succeeded' }])
  })

  it.each(['failed', 'succeeded', 'canceled', 'expired'] as const)(
    'the webhook is made up for where a crash came between settling as %s and telling',
    async (status) => {
      const event = `job.${status}` as const
      const { done, webhooks, run } = setUp({ takes: [{ state: 'settled', facts: telling(event), status }] })
      await run()
      expect(done).toEqual([event, 'complete'])
      expect(webhooks).toEqual([{ job: 'job', run: 0, event }])
    },
  )

  it.each([
    { what: 'start', taking: { ...taken, facts: telling('job.started') } },
    { what: 'end', taking: { ...taken, facts: telling('job.succeeded') } },
    { what: 'limit', taking: { state: 'late', facts: telling('job.expired') } as const },
  ])('the webhook of a $what that cannot be queued fails nothing', async ({ what, taking }) => {
    const { done, events, run } = setUp({ takes: [taking], webhooksFail: true })
    await run()
    expect(done).toEqual([what === 'limit' ? 'settle expired' : 'store', 'tell', 'complete'])
    expect(events.map(({ type }) => type)).toContain('tell-failed')
  })

  it('is left to whoever settled the job first', async () => {
    const settle = async () => ({ state: 'settled' }) as const
    const { done, run } = setUp({
      takes: [{ state: 'late', facts: telling('job.expired') }],
      store: { settle },
    })
    await run()
    expect(done).toEqual(['complete'])
  })

  it('is left to the store where the job had a forward pass to itself, and succeeded', async () => {
    const one = { ...taken, facts: { ...facts, slots: [0], slotCount: 1 }, items: items.slice(0, 1) }
    const alone = { ...computed(), batch: { size: 1, predictMs: 3 } }
    const { done, told, run } = setUp({ takes: [one], answers: [alone] })
    await run()
    expect(done).toEqual(['store', 'complete'])
    expect(told).toEqual(['mr:settled'])
  })

  it('is not left to the store where the pass was shared', async () => {
    const { done, told, run } = setUp({})
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(told).toEqual([undefined])
  })

  it('waits for the last chunk', async () => {
    const storeChunk = async () => ({ state: 'more' }) as const
    const { done, webhooks, run } = setUp({
      takes: [{ ...taken, facts: telling('job.succeeded') }],
      store: { storeChunk },
    })
    await run()
    expect(done).toEqual(['complete'])
    expect(webhooks).toEqual([])
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
    const storeChunk = () => Promise.reject(new Error('away'))
    const { done, events, run } = setUp({ store: { storeChunk } })
    await run()
    expect(done).toEqual(['fail'])
    expect(events.map(({ type }) => type)).toContain('chunk-failed')
  })
})
