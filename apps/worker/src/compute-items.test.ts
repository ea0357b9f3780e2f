import { encodeVector } from '@millrace/cache'
import type { BatchOutcome } from '@millrace/model'
import { eventually } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { computerUnderTest, numberOf } from './computer-under-test.js'
import { GivenBack } from './given-back.js'

const vectors = (count: number, predictMs: number): BatchOutcome => ({
  outcomes: Array.from({ length: count }, () => ({ ok: true, vector: new Float32Array([1]) })),
  predictMs,
})
/** One batch of 8 tokens runs, and is expected to take so long as the one before it. */
async function busyComputer(passMs: number) {
  const under = computerUnderTest()
  const first = under.get('aaaaaaaa')
  await under.ran(1)
  under.batches[0]?.answer(vectors(1, passMs))
  const running = under.get('bbbbbbbb')
  await under.ran(2)
  return { ...under, begun: [first, running].flat() }
}
/** Long enough for all that needs no clock to happen. */
const turns = async () => {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

describe('items', () => {
  it('known to the cache never reach the model', async () => {
    const known = encodeVector(new Float32Array([42]))
    const { batches, get } = computerUnderTest({ 'key of a': [{ state: 'hit', value: known }] })
    const [answer] = await Promise.all(get('a'))
    expect(answer).toMatchObject({ via: 'hit', bytes: known })
    expect(batches).toEqual([])
  })

  it('that this worker computes already are joined, across chunks', async () => {
    const { batches, ran, get } = computerUnderTest()
    const first = get('ab')
    const second = get('ab')
    await ran(1)
    batches[0]?.answer()
    expect((await first[0])?.via).toBe('computed')
    expect((await second[0])?.via).toBe('joined')
    expect(batches).toHaveLength(1)
  })

  it('that cost more than their own length, such as one sequence per label, fill a batch by what they cost', async () => {
    const { batches, ran, get } = computerUnderTest()
    const all = get('$', 'a', 'b')
    await ran(2)
    expect(batches.map(({ items }) => items.length)).toEqual([1, 2])
    for (const batch of batches) batch.answer()
    await Promise.all(all)
  })

  it('that another worker computes are waited for, and taken over when it lets go', async () => {
    const done = encodeVector(new Float32Array([7]))
    const { batches, ran, get } = computerUnderTest({
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
    const { batches, takes, clock, get, ran, asked } = computerUnderTest(
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

  it('never wait for company while a model process is idle', async () => {
    const { batches, ran, get } = computerUnderTest()
    const alone = get('a')
    await ran(1)
    expect(batches[0]?.items).toHaveLength(1)
    const next = get('b')
    await ran(2)
    for (const batch of batches) batch.answer()
    expect(await Promise.all([...alone, ...next])).toHaveLength(2)
  })

  it('keep every model process busy with one batch and one more ready, never more', async () => {
    const { computer, batches, ran, get } = computerUnderTest()
    const answers = get('aaaaaaa', 'bbbbbbb', 'ccccccc')
    await ran(2)
    expect(computer.waitingTokens).toBe(7)
    batches[0]?.answer()
    await ran(3)
    batches[1]?.answer()
    batches[2]?.answer()
    expect((await Promise.all(answers)).map(({ bytes }) => numberOf(bytes))).toEqual([7, 7, 7])
  })

  it('that fill a batch leave beside one that runs; those that do not wait for company', async () => {
    const { batches, ran, get, begun } = await busyComputer(90)
    const waiting = get('ccc')
    await turns()
    expect(batches).toHaveLength(2)
    const more = get('ddd', 'eee')
    await turns()
    expect(batches).toHaveLength(3)
    expect(batches[2]?.items).toHaveLength(2)
    batches[1]?.answer()
    batches[2]?.answer()
    await ran(4)
    batches[3]?.answer()
    expect(await Promise.all([begun, waiting, more].flat())).toHaveLength(5)
  })

  it('that fill a batch wait, too, where passes are so long that a more urgent one would wait with them', async () => {
    const { batches, ran, get, begun } = await busyComputer(5000)
    const low = get({ input: 'ccccc', priority: 9 }, { input: 'ddddd', priority: 9 })
    await turns()
    expect(batches).toHaveLength(2)
    const urgent = get('eee')
    batches[1]?.answer(vectors(1, 1))
    await ran(4)
    expect(batches[2]?.items.map(({ ids }) => ids.length)).toEqual([3])
    for (const at of [2, 3]) batches[at]?.answer()
    await ran(5)
    batches[4]?.answer()
    expect(await Promise.all([begun, low, urgent].flat())).toHaveLength(5)
  })

  it('that wait reach the model by priority, the oldest of the most urgent first', async () => {
    const { batches, ran, get } = computerUnderTest()
    const busy = get('aaaaaaa', 'bbbbbbb')
    await ran(2)
    const low = get({ input: 'cccccccc', priority: 9 })
    const urgent = get({ input: 'ddddddd', priority: 0 })
    batches[0]?.answer()
    await ran(3)
    expect(batches[2]?.items.map(({ ids }) => ids.length)).toEqual([7])
    for (const at of [1, 2]) batches[at]?.answer()
    await ran(4)
    batches[3]?.answer()
    expect(await Promise.all([...busy, ...low, ...urgent])).toHaveLength(4)
  })

  it('that the model cannot take fail alone, and are not cached', async () => {
    const { batches, settled, released, ran, get } = computerUnderTest()
    const [long, good] = get('much too long', 'ab')
    expect(numberOf((await long)?.bytes ?? Buffer.alloc(0))).toBe('input_too_long')
    await ran(1)
    batches[0]?.answer()
    await good
    expect(settled).toEqual([['key of ab']])
    expect(released).toEqual(['key of much too long'])
  })

  it('that failed in the model are told, and are not cached', async () => {
    const { batches, settled, ran, get } = computerUnderTest()
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

describe('stopping', () => {
  it('gives back what was being looked up, also what another worker computes', async () => {
    const { job, computer, takes, released, batches, asked } = computerUnderTest(
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
    const { job, computer, takes, released, asked } = computerUnderTest(
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
    const { computer, batches, released, ran, get } = computerUnderTest()
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
    const { batches, ran, lost, get } = computerUnderTest()
    const [answer] = get('ab')
    const outcome = Promise.allSettled([answer])
    await ran(1)
    batches[0]?.answer({ outcomes: [], predictMs: 0 })
    expect((await outcome)[0]?.status).toBe('rejected')
    expect(lost()?.message).toBe('gone')
  })
})
