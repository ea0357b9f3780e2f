import { MicroBatcher } from '@millrace/batching'
import { decodeResult, encodeVector, type GetOrClaim } from '@millrace/cache'
import { MillraceError } from '@millrace/contracts'
import type { BatchOutcome, EncodedItem, LoadedModel } from '@millrace/model'
import { eventually } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import type { Claims } from './claims.js'
import { ItemComputer } from './compute-items.js'
import { GivenBack } from './given-back.js'
import type { ItemInFlight, ItemRequest } from './items-in-flight.js'

const request = (input: string): ItemRequest => ({ key: `key of ${input}`, input, truncate: false })
const numberOf = (bytes: Buffer) => {
  const result = decodeResult(bytes)
  return result.kind === 'vector' ? result.values[0] : result.error.code
}

/**
 * A model whose vector is the text's length, and which answers only when it is told to.
 * @param options.holdTakes claims are then answered only when `takes` is told to
 */
function setUp(states: Record<string, GetOrClaim[]> = {}, options: { holdTakes?: boolean } = {}) {
  const takes: { keys: readonly string[]; answer: () => void }[] = []
  const clock = { nowMs: 0 }
  let rooms = 0
  const batches: { items: readonly EncodedItem[]; answer: (outcome?: BatchOutcome) => void }[] = []
  const settled: string[][] = []
  const released: string[] = []
  let lost: Error | undefined
  const model: Partial<LoadedModel> = {
    slots: 2,
    tokenizer: {
      maxTokens: 8,
      padTokenId: 0,
      count: (text: string) => text.length,
      encode: (text: string) => {
        if (text.length > 8) throw new MillraceError('input_too_long', 'too long')
        return new Int32Array(text.length)
      },
    },
    runBatch: (items) =>
      new Promise((resolve, reject) => {
        const good = {
          outcomes: items.map(({ ids }) => ({ ok: true as const, vector: new Float32Array([ids.length]) })),
          predictMs: 1,
        }
        batches.push({
          items,
          answer: (outcome = good) =>
            outcome.outcomes.length > 0 ? resolve(outcome) : reject(new Error('gone')),
        })
      }),
  }
  const claims: Partial<Claims> = {
    take: (keys) =>
      new Promise((resolve) => {
        const answer = () => resolve(keys.map((key) => states[key]?.shift() ?? { state: 'claimed' }))
        if (options.holdTakes && keys.length > 0) takes.push({ keys, answer })
        else answer()
      }),
    settle: async (answers) => void settled.push(answers.map(({ key }) => key)),
    release: async (keys) => void released.push(...keys),
  }
  const computer = new ItemComputer({
    alias: 'm',
    model: model as LoadedModel,
    batcher: new MicroBatcher<ItemInFlight>({ maxArea: 8, maxItems: 8, lookahead: 8 }, () => 0),
    claims: claims as Claims,
    busyLimitMs: 1000,
    now: () => clock.nowMs,
    emit: () => {},
    onRoom: () => {
      rooms += 1
    },
    onModelLost: (error) => {
      lost = error
    },
  })
  const ran = (count: number) => eventually(() => batches.length === count)
  const asked = (count: number) => eventually(() => takes.length === count)
  /** What one job asks for. */
  const job = (...inputs: string[]) => {
    const controller = new AbortController()
    const answers = computer.compute(inputs.map(request), { signal: controller.signal })
    const ended = Promise.allSettled(answers).then((all) =>
      all.map((one) =>
        one.status === 'fulfilled' ? `${one.value.via} ${numberOf(one.value.bytes)}` : String(one.reason),
      ),
    )
    return { answers, ended, cancel: () => controller.abort('canceled') }
  }
  const get = (...inputs: string[]) => job(...inputs).answers
  return {
    computer,
    batches,
    settled,
    released,
    takes,
    clock,
    ran,
    asked,
    job,
    get,
    rooms: () => rooms,
    lost: () => lost,
  }
}

describe('items', () => {
  it('known to the cache never reach the model', async () => {
    const known = encodeVector(new Float32Array([42]))
    const { batches, get } = setUp({ 'key of a': [{ state: 'hit', value: known }] })
    const [answer] = await Promise.all(get('a'))
    expect(answer).toMatchObject({ via: 'hit', bytes: known })
    expect(batches).toEqual([])
  })

  it('that this worker computes already are joined, across chunks', async () => {
    const { batches, ran, get } = setUp()
    const first = get('ab')
    const second = get('ab')
    await ran(1)
    batches[0]?.answer()
    expect((await first[0])?.via).toBe('computed')
    expect((await second[0])?.via).toBe('joined')
    expect(batches).toHaveLength(1)
  })

  it('that another worker computes are waited for, and taken over when it lets go', async () => {
    const done = encodeVector(new Float32Array([7]))
    const { batches, ran, get } = setUp({
      'key of a': [{ state: 'busy' }, { state: 'busy' }, { state: 'hit', value: done }],
      'key of b': [{ state: 'busy' }, { state: 'claimed' }],
    })
    const [a, b] = get('a', 'b')
    await ran(1)
    batches[0]?.answer()
    expect(await a).toMatchObject({ via: 'joined', bytes: done })
    expect((await b)?.via).toBe('computed')
  })

  it('that another worker holds for too long are computed here', async () => {
    const { batches, takes, clock, get, ran, asked } = setUp(
      { 'key of a': [{ state: 'busy' }, { state: 'busy' }, { state: 'busy' }] },
      { holdTakes: true },
    )
    const [answer] = get('a')
    await asked(1)
    takes[0]?.answer()
    await asked(2)
    clock.nowMs = 999
    takes[1]?.answer()
    await asked(3)
    expect(batches).toEqual([])
    clock.nowMs = 1000
    takes[2]?.answer()
    await ran(1)
    batches[0]?.answer()
    expect((await answer)?.via).toBe('computed')
  })

  it('keep every model process busy with one batch and one more ready, never more', async () => {
    const { computer, batches, ran, get } = setUp()
    const answers = get('aaaaaaa', 'bbbbbbb', 'ccccccc')
    await ran(2)
    expect(computer.waitingTokens).toBe(7)
    batches[0]?.answer()
    await ran(3)
    batches[1]?.answer()
    batches[2]?.answer()
    expect((await Promise.all(answers)).map(({ bytes }) => numberOf(bytes))).toEqual([7, 7, 7])
  })

  it('that the model cannot take fail alone, and are not cached', async () => {
    const { batches, settled, released, ran, get } = setUp()
    const [long, good] = get('much too long', 'ab')
    expect(numberOf((await long)?.bytes ?? Buffer.alloc(0))).toBe('input_too_long')
    await ran(1)
    batches[0]?.answer()
    await good
    expect(settled).toEqual([['key of ab']])
    expect(released).toEqual(['key of much too long'])
  })

  it('that failed in the model are told, and are not cached', async () => {
    const { batches, settled, ran, get } = setUp()
    const [answer] = get('ab')
    await ran(1)
    batches[0]?.answer({
      outcomes: [{ ok: false, error: { code: 'input_crashes_model', detail: 'x' } }],
      predictMs: 1,
    })
    expect(numberOf((await answer)?.bytes ?? Buffer.alloc(0))).toBe('input_crashes_model')
    expect(settled).toEqual([[]])
  })
})

describe('a cancel', () => {
  it('drops what waits in the batcher, releases its claims, and says that there is room', async () => {
    const { job, batches, released, ran, rooms, computer } = setUp()
    const one = job('aaaaaaa', 'bbbbbbb', 'ccccccc', 'ddddddd')
    await ran(2)
    one.cancel()
    expect(computer.waitingTokens).toBe(0)
    expect(released).toEqual(['key of ccccccc', 'key of ddddddd'])
    expect(rooms()).toBe(1)
    batches[0]?.answer()
    batches[1]?.answer()
    expect(await one.ended).toEqual(Array(4).fill('canceled'))
    expect(batches).toHaveLength(2)
  })

  it('ends the wait for what a model process has at once; that finishes and is cached', async () => {
    const { job, batches, settled, released, ran } = setUp()
    const one = job('ab')
    await ran(1)
    one.cancel()
    expect(await one.ended).toEqual(['canceled'])
    batches[0]?.answer()
    await eventually(() => settled.length === 1)
    expect(settled).toEqual([['key of ab']])
    expect(released).toEqual([])
  })

  it('leaves alone what another job joined', async () => {
    const { job, batches, released, ran } = setUp()
    const one = job('aaaaaaa', 'bbbbbbb', 'ccccccc', 'ddddddd')
    const other = job('ddddddd')
    await ran(2)
    one.cancel()
    expect(released).toEqual(['key of ccccccc'])
    batches[0]?.answer()
    await ran(3)
    batches[2]?.answer()
    expect(await other.ended).toEqual(['joined 7'])
    expect(await one.ended).toEqual(Array(4).fill('canceled'))
  })

  it('of the job that joined leaves alone the one that was there first', async () => {
    const { job, batches, released, ran } = setUp()
    const one = job('aaaaaaa', 'bbbbbbb', 'ccccccc')
    const other = job('ccccccc')
    await ran(2)
    other.cancel()
    expect(await other.ended).toEqual(['canceled'])
    expect(released).toEqual([])
    batches[0]?.answer()
    await ran(3)
    batches[1]?.answer()
    batches[2]?.answer()
    expect(await one.ended).toEqual(Array(3).fill('computed 7'))
  })

  it('of all who want an item drops it', async () => {
    const { job, released, ran } = setUp()
    job('aaaaaaa', 'bbbbbbb')
    const one = job('ccccccc')
    const other = job('ccccccc')
    await ran(2)
    one.cancel()
    expect(released).toEqual([])
    other.cancel()
    expect(released).toEqual(['key of ccccccc'])
  })

  it('never reaches who asks for the same item in the very same moment', async () => {
    const { job, batches, ran } = setUp()
    job('aaaaaaa', 'bbbbbbb')
    const one = job('ccccccc')
    await ran(2)
    one.cancel()
    const other = job('ccccccc')
    batches[0]?.answer()
    await ran(3)
    batches[2]?.answer()
    expect(await other.ended).toEqual(['computed 7'])
    expect(await one.ended).toEqual(['canceled'])
  })

  it('while claims are asked for computes nothing and gives the claims back', async () => {
    const { job, takes, released, batches, asked } = setUp({}, { holdTakes: true })
    const one = job('ab', 'cd')
    await asked(1)
    one.cancel()
    expect(await one.ended).toEqual(['canceled', 'canceled'])
    takes[0]?.answer()
    await eventually(() => released.length === 2)
    expect(released).toEqual(['key of ab', 'key of cd'])
    expect(batches).toEqual([])
  })

  it('while claims are asked for leaves alone what another job joined since', async () => {
    const { job, takes, released, batches, ran, asked } = setUp({}, { holdTakes: true })
    const one = job('ab', 'cd')
    await asked(1)
    one.cancel()
    const other = job('cd')
    takes[0]?.answer()
    await ran(1)
    batches[0]?.answer()
    expect(await other.ended).toEqual(['joined 2'])
    expect(released).toEqual(['key of ab'])
  })

  it('that came before the items were asked for costs no batch', async () => {
    const { computer, released, batches } = setUp()
    const [answer] = computer.compute([request('ab')], { signal: AbortSignal.abort('canceled') })
    await expect(answer).rejects.toBe('canceled')
    await eventually(() => released.length === 1)
    expect(batches).toEqual([])
  })

  it('ends the wait for what another worker computes, which is not asked for again', async () => {
    const { job, takes, batches, released, asked } = setUp(
      { 'key of a': [{ state: 'busy' }], 'key of b': [{ state: 'busy' }, { state: 'busy' }] },
      { holdTakes: true },
    )
    const one = job('a')
    const other = job('b')
    await asked(2)
    takes[0]?.answer()
    takes[1]?.answer()
    one.cancel()
    expect(await one.ended).toEqual(['canceled'])
    await asked(3)
    expect(takes[2]?.keys).toEqual(['key of b'])
    takes[2]?.answer()
    await asked(4)
    expect(takes[3]?.keys).toEqual(['key of b'])
    expect([batches, released]).toEqual([[], []])
    other.cancel()
  })

  it('gives back the claim that another worker let go just then', async () => {
    const { job, takes, batches, released, asked } = setUp(
      { 'key of a': [{ state: 'busy' }] },
      { holdTakes: true },
    )
    const one = job('a')
    await asked(1)
    takes[0]?.answer()
    await asked(2)
    one.cancel()
    takes[1]?.answer()
    await eventually(() => released.length === 1)
    expect(released).toEqual(['key of a'])
    expect(batches).toEqual([])
  })

  it('leaves alone what another job wants of another worker', async () => {
    const done = encodeVector(new Float32Array([7]))
    const { job } = setUp({ 'key of a': [{ state: 'busy' }, { state: 'hit', value: done }] })
    const one = job('a')
    const other = job('a')
    one.cancel()
    expect(await other.ended).toEqual(['joined 7'])
  })
})

describe('stopping', () => {
  it('gives back what was being looked up, also what another worker computes', async () => {
    const { job, computer, takes, released, batches, asked } = setUp(
      { 'key of a': [{ state: 'busy' }] },
      { holdTakes: true },
    )
    const one = job('a', 'b')
    await asked(1)
    await computer.stop()
    takes[0]?.answer()
    expect(await one.ended).toEqual(Array(2).fill('GivenBack: the worker is stopping'))
    expect(released).toEqual(['key of b'])
    expect(batches).toEqual([])
  })

  it('gives back what waits for another worker, and the claim that comes too late', async () => {
    const { job, computer, takes, released, asked } = setUp(
      { 'key of a': [{ state: 'busy' }] },
      { holdTakes: true },
    )
    const one = job('a')
    await asked(1)
    takes[0]?.answer()
    await asked(2)
    await computer.stop()
    expect(await one.ended).toEqual(['GivenBack: the worker is stopping'])
    takes[1]?.answer()
    await eventually(() => released.length === 1)
    expect(released).toEqual(['key of a'])
  })

  it('gives back what no model process has, and finishes what one has', async () => {
    const { computer, batches, released, ran, get } = setUp()
    const answers = get('aaaaaaa', 'bbbbbbb', 'ccccccc')
    const outcomes = Promise.allSettled(answers)
    await ran(2)
    await computer.stop()
    batches[0]?.answer()
    batches[1]?.answer()
    expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    await expect(answers[2]).rejects.toBeInstanceOf(GivenBack)
    expect(released).toEqual(['key of ccccccc'])
  })

  it('is asked for when the model is lost', async () => {
    const { batches, ran, lost, get } = setUp()
    const [answer] = get('ab')
    const outcome = Promise.allSettled([answer])
    await ran(1)
    batches[0]?.answer({ outcomes: [], predictMs: 0 })
    expect((await outcome)[0]?.status).toBe('rejected')
    expect(lost()?.message).toBe('gone')
  })
})
