import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Canceled, ChunksInHand, PastLimit } from './chunks-in-hand.js'

describe('a cancel', () => {
  it('reaches every chunk in hand of its job, and of no other', () => {
    const inHand = new ChunksInHand()
    const [one, two, other] = [inHand.take('a'), inHand.take('a'), inHand.take('b')]
    inHand.cancel('a')
    expect([one, two, other].map(({ signal }) => signal.aborted)).toEqual([true, true, false])
    expect(one.signal.reason).toBeInstanceOf(Canceled)
  })

  it('reaches the second chunk when the first was released', () => {
    const inHand = new ChunksInHand()
    const [one, two] = [inHand.take('a'), inHand.take('a')]
    one.release()
    one.release()
    inHand.cancel('a')
    expect([one, two].map(({ signal }) => signal.aborted)).toEqual([false, true])
  })

  it('of a job that is not in hand is nothing, and does not reach a chunk taken later', () => {
    const inHand = new ChunksInHand()
    inHand.take('a').release()
    inHand.cancel('a')
    inHand.cancel('b')
    const canceled = inHand.take('b')
    inHand.cancel('b')
    expect(inHand.take('b').signal.aborted).toBe(false)
    expect(canceled.signal.aborted).toBe(true)
    expect(inHand.take('a').signal.aborted).toBe(false)
  })
})

describe('a limit', () => {
  it('ends its own chunk when it has passed, and no chunk that was released before', () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const inHand = new ChunksInHand()
    const [one, two, done] = [inHand.take('a'), inHand.take('a'), inHand.take('a')]
    one.endIn(100)
    done.endIn(100)
    done.release()
    vi.advanceTimersByTime(99)
    expect(one.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect([one, two, done].map(({ signal }) => signal.aborted)).toEqual([true, false, false])
    expect(one.signal.reason).toBeInstanceOf(PastLimit)
    expect(vi.getTimerCount()).toBe(0)
  })
})
