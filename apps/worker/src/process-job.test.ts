import { decodeResult, encodeError } from '@millrace/cache'
import type { StoreOutcome } from '@millrace/jobs'
import { describe, expect, it } from 'vitest'
import { chunkUnderTest, computed, facts, keyOf, now, taken, telling, vector } from './chunk-under-test.js'
import { GivenBack } from './given-back.js'
import type { ItemAnswer } from './items-in-flight.js'

describe('a chunk', () => {
  it('is stored and told, and only then completed', async () => {
    const { done, stored, run } = chunkUnderTest({})
    await run()
    expect(done).toEqual(['store and tell', 'complete'])
    // Two items of one batch: its time counts once.
    expect(stored[0]).toMatchObject({ failed: 0, predictUs: 8000, tokenizeUs: 2000, batchSize: 2 })
  })

  it.each([
    { state: 'retried' },
    { state: 'stored' },
    { state: 'settled', facts, status: 'failed' },
  ] as const)('that is $state costs nothing and is completed', async (one) => {
    const { done, computing, events, run } = chunkUnderTest({ takes: [one] })
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
    const { done, computing, run } = chunkUnderTest({ takes: [{ state: 'gone' }], delivery })
    await run()
    expect(done).toEqual([end])
    expect(computing).toEqual([])
  })

  it('past its limit settles the job as expired without computing', async () => {
    const { done, computing, run } = chunkUnderTest({ takes: [{ state: 'late', facts }] })
    await run()
    expect(computing).toEqual([])
    expect(done).toEqual(['settle expired', 'tell', 'complete'])
  })

  it('counts hits, joined items and failures apart', async () => {
    const error = encodeError({ code: 'input_too_long', detail: 'x' })
    const joined: ItemAnswer = { bytes: vector, via: 'joined', tokenizeMs: 0, batch: null }
    const { stored, run } = chunkUnderTest({ answers: [computed(error), joined] })
    await run()
    expect(stored[0]).toMatchObject({ failed: 1, joined: 1, hits: 0 })
  })
})

describe('a chunk told ahead', () => {
  const stores = (...states: ('gone' | 'stored')[]): StoreOutcome[] => states.map((state) => ({ state }))

  it('is computed under its claim, stored and told, without a take', async () => {
    const { done, requests, counted, runAhead } = chunkUnderTest({ takes: [], answers: [computed()] })
    await runAhead()
    expect(requests).toMatchObject([{ input: 'a', key: keyOf('a'), claimed: true }])
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(counted).toEqual([{ share: 1, count: 1 }])
  })

  it('whose record is written only now is stored once it is there', async () => {
    const outcomes = stores('gone', 'gone', 'stored')
    let tries = 0
    const { done, runAhead } = chunkUnderTest({
      answers: [computed()],
      store: { storeChunk: async () => outcomes[tries++] ?? { state: 'gone' } },
    })
    await runAhead()
    expect(tries).toBe(3)
    expect(done).toEqual(['complete'])
  })

  it('that the queue brought in the meantime is neither counted nor told twice', async () => {
    const { done, counted, runAhead } = chunkUnderTest({
      answers: [computed()],
      store: { storeChunk: async () => ({ state: 'stored' }) },
    })
    await runAhead()
    expect(done).toEqual(['complete'])
    expect(counted).toEqual([])
  })

  it('that cannot be computed is left to the queue', async () => {
    const { done, stored, runAhead } = chunkUnderTest({ answers: [Promise.reject(new GivenBack())] })
    await runAhead()
    expect(done).toEqual(['give back'])
    expect(stored).toEqual([])
  })

  it("leaves an input alone whose key is another one here: its claim is then not this worker's", async () => {
    const { requests, runAhead } = chunkUnderTest({ answers: [computed()], modelVersion: 'v2' })
    await runAhead()
    expect(requests[0]?.claimed).toBeUndefined()
  })
})

describe('a chunk whose job is canceled while it is computed', () => {
  it('is completed at once, and nothing of it is stored', async () => {
    const { done, events, inHand, isComputing, run } = chunkUnderTest({ answers: 'never' })
    const running = run()
    await isComputing
    inHand.cancel('other')
    inHand.cancel('job')
    await running
    expect(done).toEqual(['complete'])
    expect(events).toMatchObject([{ type: 'chunk-taken' }, { type: 'chunk-passed-over', why: 'canceled' }])
  })

  it('does so on its last try too', async () => {
    const { done, inHand, isComputing, run } = chunkUnderTest({
      answers: 'never',
      delivery: { lastAttempt: true },
    })
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
    const { done, tellings, events, run } = chunkUnderTest({ takes: [limited, late], answers: 'never' })
    await run()
    expect(done).toEqual(['settle expired', 'tell', 'job.expired', 'complete'])
    expect(tellings).toMatchObject([{ facts: { id: 'job' }, progress: { status: 'expired' } }])
    expect(events.map(({ type }) => type)).toEqual(['chunk-taken', 'chunk-passed-over', 'job-settled'])
  })

  it('leaves alone the next run of a job that was tried again meanwhile', async () => {
    const { done, run } = chunkUnderTest({ takes: [limited, { state: 'retried' }], answers: 'never' })
    await run()
    expect(done).toEqual(['complete'])
  })

  it('goes on where the record says that there is time left', async () => {
    const { done, inHand, computing, isComputing, run } = chunkUnderTest({
      takes: [limited, taken],
      answers: 'never',
    })
    const running = run()
    await isComputing
    await expect.poll(() => computing).toEqual(['a', 'b', 'a', 'b'])
    inHand.cancel('job')
    await running
    expect(done).toEqual(['complete'])
  })

  it('is stored as usual where it was computed in time', async () => {
    const { done, run } = chunkUnderTest({ takes: [{ ...taken, settleByMs: now + 60_000 }] })
    await run()
    expect(done).toEqual(['store and tell', 'complete'])
  })
})

describe('telling', () => {
  it('of a start is done once, before anything is computed, where a webhook asks for it', async () => {
    const { done, webhooks, run } = chunkUnderTest({ takes: [{ ...taken, facts: telling('job.started') }] })
    await run()
    expect(done).toEqual(['job.started', 'store and tell', 'complete'])
    expect(webhooks).toEqual([{ job: 'job', run: 0, event: 'job.started' }])
  })

  it('of a start is not done by a chunk that did not start the job, nor where nobody asks', async () => {
    const second = chunkUnderTest({ takes: [{ ...taken, facts: telling('job.started'), first: false }] })
    await second.run()
    expect(second.webhooks).toEqual([])
    const unasked = chunkUnderTest({ takes: [{ ...taken, facts: telling('job.failed') }] })
    await unasked.run()
    expect(unasked.webhooks).toEqual([])
  })

  it('of a start is done again by a later try, as the one that started the job may have died first', async () => {
    const { webhooks, run } = chunkUnderTest({
      takes: [{ ...taken, facts: telling('job.started'), first: false }],
      delivery: { attempt: 2 },
    })
    await run()
    expect(webhooks).toEqual([{ job: 'job', run: 0, event: 'job.started' }])
  })

  it('of an end names the run that ended', async () => {
    const { done, webhooks, run } = chunkUnderTest({
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
      const { done, webhooks, run } = chunkUnderTest({
        takes: [{ state: 'settled', facts: telling(event), status }],
      })
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
    const { done, events, run } = chunkUnderTest({ takes: [taking], webhooksFail: true })
    await run()
    expect(done).toEqual([
      ...(what === 'limit' ? ['settle expired', 'tell'] : ['store and tell']),
      'complete',
    ])
    expect(events.map(({ type }) => type)).toContain('tell-failed')
  })

  it('is left to whoever settled the job first', async () => {
    const settle = async () => ({ state: 'settled' }) as const
    const { done, run } = chunkUnderTest({
      takes: [{ state: 'late', facts: telling('job.expired') }],
      store: { settle },
    })
    await run()
    expect(done).toEqual(['complete'])
  })

  it('is left to the store where the job has no other chunk, and succeeded', async () => {
    const { done, tellings, run } = chunkUnderTest({})
    await run()
    expect(done).toEqual(['store and tell', 'complete'])
    expect(tellings).toEqual([])
  })

  it('is not left to the store where the job has more', async () => {
    const more = { ...taken, facts: { ...facts, slots: [0, 1, 2], slotCount: 3 } }
    const { done, tellings, run } = chunkUnderTest({ takes: [more] })
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(tellings).toHaveLength(1)
  })

  it('waits for the last chunk', async () => {
    const storeChunk = async () => ({ state: 'more' }) as const
    const { done, webhooks, run } = chunkUnderTest({
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
    const { done, run } = chunkUnderTest({ answers: [computed(), Promise.reject(new GivenBack())] })
    await run()
    expect(done).toEqual(['give back'])
  })

  it('is tried again while there are tries left', async () => {
    const { done, run } = chunkUnderTest({ answers: [computed(), Promise.reject(new Error('no model'))] })
    await run()
    expect(done).toEqual(['fail'])
  })

  it('fails its items on the last try, so that the job is settled', async () => {
    const { done, stored, run } = chunkUnderTest({
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
    const { done, stored, run } = chunkUnderTest({
      delivery: { givenUp: 'job stalled more than allowable limit' },
    })
    await run()
    expect(done).toEqual(['store', 'tell', 'complete'])
    expect(stored[0]?.failed).toBe(2)
  })

  it('goes back when its results could not be stored', async () => {
    const storeChunk = () => Promise.reject(new Error('away'))
    const { done, events, run } = chunkUnderTest({ store: { storeChunk } })
    await run()
    expect(done).toEqual(['fail'])
    expect(events.map(({ type }) => type)).toContain('chunk-failed')
  })
})

describe('a chunk of texts that grow', () => {
  it('tells them by slot, all of them before they are stored', async () => {
    const order: string[] = []
    const { pieces, run } = chunkUnderTest({
      takes: [{ ...taken, items: [{ slot: 4, input: 'a' }] }],
      answers: [computed()],
      texts: [
        [0, 'th'],
        [0, 'the'],
      ],
      store: {
        storeChunk: async () => {
          order.push(`stored after ${pieces.length}`)
          return { state: 'more' }
        },
      },
    })
    await run()
    expect(pieces).toEqual([{ slot: 4, start: 0, text: 'the' }])
    expect(order).toEqual(['stored after 1'])
  })

  it('that are drawn have keys and seeds of their own, the same at each try', async () => {
    const drawn = { ...facts, params: { do_sample: true }, unshared: true as const }
    const requestsOf = async (attempt: number, run = 0) => {
      const one = chunkUnderTest({ takes: [{ ...taken, facts: drawn }], delivery: { attempt, run } })
      await one.run()
      return one.requests
    }
    const first = await requestsOf(1)
    expect(first.map(({ unshared, key }) => [unshared, key])).toEqual([
      [true, 'job:0:0'],
      [true, 'job:0:1'],
    ])
    const seeds = first.map(({ params }) => params?.seed)
    expect(new Set(seeds).size).toBe(2)
    expect(await requestsOf(2)).toEqual(first)
    expect((await requestsOf(1, 1)).map(({ params }) => params?.seed)).not.toEqual(seeds)
  })
})
