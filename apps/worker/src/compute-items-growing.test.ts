/** Items that grow token by token: who hears of it, and what ends it. */
import { eventually } from '@millrace/testkit'
import { describe, expect, it } from 'vitest'
import { computerUnderTest, request } from './computer-under-test.js'

const letters = (text: string) => [...text].map((letter) => letter.charCodeAt(0))
const outcomeOf = (first: number, text: string) => ({
  outcomes: [{ ok: true as const, vector: Float32Array.from([first, ...letters(text)]) }],
  predictMs: 1,
})
const underTest = () => computerUnderTest({}, { growing: true })

describe('a text that is written', () => {
  it('is heard as it grows, to its end, and is cached', async () => {
    const { job, batches, settled, ran } = underTest()
    const one = job('ab')
    await ran(1)
    batches[0]?.hooks?.onTokens?.(0, 0, letters('th'))
    batches[0]?.hooks?.onTokens?.(0, 2, letters('a'))
    expect(one.texts).toEqual(['th', 'tha'])
    batches[0]?.answer(outcomeOf(0, 'that'))
    expect(await one.ended).toEqual(['computed that'])
    expect(one.texts.at(-1)).toBe('that')
    expect(settled).toEqual([['key of ab']])
  })

  it('is heard from its start by one who joins', async () => {
    const { job, batches, ran } = underTest()
    job('ab')
    await ran(1)
    batches[0]?.hooks?.onTokens?.(0, 0, letters('th'))
    const other = job('ab')
    batches[0]?.hooks?.onTokens?.(0, 2, letters('a'))
    expect(other.texts).toEqual(['th', 'tha'])
    batches[0]?.answer(outcomeOf(0, 'that'))
    expect(await other.ended).toEqual(['joined that'])
  })

  it('that nothing can follow is ended, and is a whole text', async () => {
    const { job, batches, settled, ran } = underTest()
    const one = job('ab')
    await ran(1)
    batches[0]?.hooks?.onTokens?.(0, 0, letters('th'))
    expect(batches[0]?.hooks?.signal?.aborted).toBe(false)
    batches[0]?.hooks?.onTokens?.(0, 2, letters('e'))
    expect(batches[0]?.hooks?.signal?.aborted).toBe(true)
    batches[0]?.answer(outcomeOf(0, 'the'))
    expect(await one.ended).toEqual(['computed the'])
    expect(settled).toEqual([['key of ab']])
  })

  it('of which time left a part only, or which was drawn for one, is answered and not cached', async () => {
    const { job, batches, settled, released, ran } = underTest()
    const one = job('ab')
    await ran(1)
    const drawn = job({ ...request('cd'), unshared: true })
    await ran(2)
    batches[0]?.answer(outcomeOf(9, 'th'))
    batches[1]?.answer(outcomeOf(0, 'dice'))
    expect(await one.ended).toEqual(['computed th'])
    expect(await drawn.ended).toEqual(['computed dice'])
    expect({ settled, released }).toEqual({ settled: [[], []], released: [] })
  })
})

describe('a cancel', () => {
  it('ends a text that is being written; nobody gets the part, and who asks anew gets the whole', async () => {
    const { job, batches, settled, ran } = underTest()
    const one = job('ab')
    await ran(1)
    one.cancel()
    expect(batches[0]?.hooks?.signal?.aborted).toBe(true)
    expect(await one.ended).toEqual(['canceled'])
    const again = job('ab')
    await ran(2)
    batches[0]?.answer(outcomeOf(9, 'th'))
    await eventually(() => settled.length === 1)
    expect(settled).toEqual([[]])
    batches[1]?.answer(outcomeOf(0, 'that'))
    expect(await again.ended).toEqual(['computed that'])
  })

  it('leaves alone a text that another job waits for as well, until that is canceled too', async () => {
    const { job, batches, ran } = underTest()
    const one = job('ab')
    const other = job('ab')
    await ran(1)
    one.cancel()
    expect(batches[0]?.hooks?.signal?.aborted).toBe(false)
    batches[0]?.hooks?.onTokens?.(0, 0, letters('th'))
    expect([one.texts, other.texts]).toEqual([[], ['th']])
    other.cancel()
    expect(batches[0]?.hooks?.signal?.aborted).toBe(true)
  })
})

describe('a stop', () => {
  it('lets what is being written go on, and gives it back when time is up', async () => {
    const { job, batches, computer, ran } = underTest()
    const one = job('ab')
    await ran(1)
    await computer.stop()
    expect(batches[0]?.hooks?.signal?.aborted).toBe(false)
    computer.endGrowing()
    expect(batches[0]?.hooks?.signal?.aborted).toBe(true)
    expect(await one.ended).toEqual([expect.stringContaining('GivenBack')])
  })
})
