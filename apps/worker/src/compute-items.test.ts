import { MicroBatcher } from '@millrace/batching'
import { decodeResult, encodeVector, type GetOrClaim } from '@millrace/cache'
import { MillraceError } from '@millrace/contracts'
import type { BatchOutcome, EncodedItem, LoadedModel } from '@millrace/model'
import { eventually } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import type { Claims } from './claims.js'
import { ItemComputer, type ItemRequest, type PendingItem } from './compute-items.js'
import { GivenBack } from './given-back.js'

const request = (input: string): ItemRequest => ({ key: `key of ${input}`, input, truncate: false })
const numberOf = (bytes: Buffer) => {
  const result = decodeResult(bytes)
  return result.kind === 'vector' ? result.values[0] : result.error.code
}

/** A model whose vector is the text's length, and which answers only when it is told to. */
function setUp(states: Record<string, GetOrClaim[]> = {}) {
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
    take: async (keys) => keys.map((key) => states[key]?.shift() ?? { state: 'claimed' }),
    settle: async (answers) => void settled.push(answers.map(({ key }) => key)),
    release: async (keys) => void released.push(...keys),
  }
  const computer = new ItemComputer({
    alias: 'm',
    model: model as LoadedModel,
    batcher: new MicroBatcher<PendingItem>({ maxArea: 8, maxItems: 8, lookahead: 8 }, () => 0),
    claims: claims as Claims,
    busyLimitMs: 1000,
    now: () => 0,
    emit: () => {},
    onRoom: () => {},
    onModelLost: (error) => {
      lost = error
    },
  })
  const ran = (count: number) => eventually(() => batches.length === count)
  return { computer, batches, settled, released, ran, lost: () => lost }
}

describe('items', () => {
  it('known to the cache never reach the model', async () => {
    const known = encodeVector(new Float32Array([42]))
    const { computer, batches } = setUp({ 'key of a': [{ state: 'hit', value: known }] })
    const [answer] = await Promise.all(computer.compute([request('a')]))
    expect(answer).toMatchObject({ via: 'hit', bytes: known })
    expect(batches).toEqual([])
  })

  it('that this worker computes already are joined, across chunks', async () => {
    const { computer, batches, ran } = setUp()
    const first = computer.compute([request('ab')])
    const second = computer.compute([request('ab')])
    await ran(1)
    batches[0]?.answer()
    expect((await first[0])?.via).toBe('computed')
    expect((await second[0])?.via).toBe('joined')
    expect(batches).toHaveLength(1)
  })

  it('that another worker computes are waited for, and taken over when it lets go', async () => {
    const done = encodeVector(new Float32Array([7]))
    const { computer, batches, ran } = setUp({
      'key of a': [{ state: 'busy' }, { state: 'busy' }, { state: 'hit', value: done }],
      'key of b': [{ state: 'busy' }, { state: 'claimed' }],
    })
    const [a, b] = computer.compute([request('a'), request('b')])
    await ran(1)
    batches[0]?.answer()
    expect(await a).toMatchObject({ via: 'joined', bytes: done })
    expect((await b)?.via).toBe('computed')
  })

  it('keep every model process busy with one batch and one more ready, never more', async () => {
    const { computer, batches, ran } = setUp()
    const answers = computer.compute(['aaaaaaa', 'bbbbbbb', 'ccccccc'].map(request))
    await ran(2)
    expect(computer.waitingTokens).toBe(7)
    batches[0]?.answer()
    await ran(3)
    batches[1]?.answer()
    batches[2]?.answer()
    expect((await Promise.all(answers)).map(({ bytes }) => numberOf(bytes))).toEqual([7, 7, 7])
  })

  it('that the model cannot take fail alone, and are not cached', async () => {
    const { computer, batches, settled, released, ran } = setUp()
    const [long, good] = computer.compute([request('much too long'), request('ab')])
    expect(numberOf((await long)?.bytes ?? Buffer.alloc(0))).toBe('input_too_long')
    await ran(1)
    batches[0]?.answer()
    await good
    expect(settled).toEqual([['key of ab']])
    expect(released).toEqual(['key of much too long'])
  })

  it('that failed in the model are told, and are not cached', async () => {
    const { computer, batches, settled, ran } = setUp()
    const [answer] = computer.compute([request('ab')])
    await ran(1)
    batches[0]?.answer({
      outcomes: [{ ok: false, error: { code: 'input_crashes_model', detail: 'x' } }],
      predictMs: 1,
    })
    expect(numberOf((await answer)?.bytes ?? Buffer.alloc(0))).toBe('input_crashes_model')
    expect(settled).toEqual([[]])
  })
})

describe('stopping', () => {
  it('gives back what no model process has, and finishes what one has', async () => {
    const { computer, batches, released, ran } = setUp()
    const answers = computer.compute(['aaaaaaa', 'bbbbbbb', 'ccccccc'].map(request))
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
    const { computer, batches, ran, lost } = setUp()
    const [answer] = computer.compute([request('ab')])
    const outcome = Promise.allSettled([answer])
    await ran(1)
    batches[0]?.answer({ outcomes: [], predictMs: 0 })
    expect((await outcome)[0]?.status).toBe('rejected')
    expect(lost()?.message).toBe('gone')
  })
})
