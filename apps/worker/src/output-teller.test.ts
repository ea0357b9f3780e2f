import type { OutputPiece } from '@millrace/jobs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OutputTeller } from './output-teller.js'

const everyMs = 50

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function tellerUnderTest(tell: (piece: OutputPiece) => Promise<unknown> = async () => {}) {
  const told: OutputPiece[] = []
  const teller = new OutputTeller({
    everyMs,
    tell: (piece) => {
      told.push(piece)
      return tell(piece)
    },
  })
  return { teller, told, pass: () => vi.advanceTimersByTimeAsync(everyMs) }
}

describe('what an item has grown by', () => {
  it('is told in one piece, however often it grew meanwhile, and counted in bytes', async () => {
    const { teller, told, pass } = tellerUnderTest()
    for (const text of ['ü', 'ün', 'ünï']) teller.hear(0, text)
    expect(told).toEqual([])
    await pass()
    teller.hear(0, 'ünï 日')
    await pass()
    expect(told).toEqual([
      { slot: 0, start: 0, text: 'ünï' },
      { slot: 0, start: 5, text: ' 日' },
    ])
  })

  it('is not told where there is nothing new', async () => {
    const { teller, told, pass } = tellerUnderTest()
    teller.hear(0, 'a')
    await pass()
    teller.hear(0, 'a')
    teller.hear(0, '')
    await pass()
    await teller.end()
    expect(told).toHaveLength(1)
  })

  it('is told of each item by itself, and the rest of it at the end', async () => {
    const { teller, told } = tellerUnderTest()
    teller.hear(3, 'a')
    teller.hear(1, 'b')
    await teller.end()
    expect(told).toEqual([
      { slot: 3, start: 0, text: 'a' },
      { slot: 1, start: 0, text: 'b' },
    ])
    teller.hear(3, 'abc')
    await teller.end()
    expect(told).toHaveLength(2)
  })

  it('waits while Redis is slow, and is then one longer piece', async () => {
    let answer = () => {}
    const slow = () => new Promise<void>((resolve) => (answer = resolve))
    const { teller, told, pass } = tellerUnderTest(slow)
    teller.hear(0, 'a')
    await pass()
    teller.hear(0, 'ab')
    await pass()
    teller.hear(0, 'abc')
    await pass()
    expect(told).toHaveLength(1)
    answer()
    await pass()
    expect(told.map(({ text }) => text)).toEqual(['a', 'bc'])
  })

  it('that cannot be told is no fault, and what follows is told', async () => {
    const { teller, told, pass } = tellerUnderTest(async () => {
      throw new Error('away')
    })
    teller.hear(0, 'a')
    await pass()
    teller.hear(0, 'ab')
    await teller.end()
    expect(told.map(({ start, text }) => [start, text])).toEqual([
      [0, 'a'],
      [1, 'b'],
    ])
  })

  it('of a job that is canceled is told no more', async () => {
    const { teller, told, pass } = tellerUnderTest()
    teller.hear(0, 'a')
    teller.drop()
    await pass()
    expect(told).toEqual([])
  })
})
