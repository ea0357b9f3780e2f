import { encodeVector } from '@millrace/cache'
import { eventually } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { computerUnderTest, request } from './computer-under-test.js'

describe('a cancel', () => {
  it('drops what waits in the batcher, releases its claims, and says that there is room', async () => {
    const { job, batches, released, ran, rooms, computer } = computerUnderTest()
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
    const { job, batches, settled, released, ran } = computerUnderTest()
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
    const { job, batches, released, ran } = computerUnderTest()
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
    const { job, batches, released, ran } = computerUnderTest()
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
    const { job, released, ran } = computerUnderTest()
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
    const { job, batches, ran } = computerUnderTest()
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
    const { job, takes, released, batches, asked } = computerUnderTest({}, { holdTakes: true })
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
    const { job, takes, released, batches, ran, asked } = computerUnderTest({}, { holdTakes: true })
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
    const { computer, released, batches } = computerUnderTest()
    const [answer] = computer.compute([request('ab')], { signal: AbortSignal.abort('canceled') })
    await expect(answer).rejects.toBe('canceled')
    await eventually(() => released.length === 1)
    expect(batches).toEqual([])
  })

  it('ends the wait for what another worker computes, which is not asked for again', async () => {
    const { job, takes, batches, released, asked } = computerUnderTest(
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
    const { job, takes, batches, released, asked } = computerUnderTest(
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
    const { job } = computerUnderTest({ 'key of a': [{ state: 'busy' }, { state: 'hit', value: done }] })
    const one = job('a')
    const other = job('a')
    one.cancel()
    expect(await other.ended).toEqual(['joined 7'])
  })
})
