import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Gathering } from './gathering.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('while the fleet is idle nobody waits', async () => {
  await new Gathering().join(false)
  expect(vi.getTimerCount()).toBe(0)
})

test('while it is busy, those who come within a moment leave together, and the next ones after them', async () => {
  const gathering = new Gathering()
  const left: string[] = []
  const join = (who: string) => gathering.join(true).then(() => left.push(who))
  void join('a')
  await vi.advanceTimersByTimeAsync(2)
  void join('b')
  expect(left).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(left).toEqual(['a', 'b'])
  void join('c')
  await vi.advanceTimersByTimeAsync(2)
  expect(left).toEqual(['a', 'b'])
  await vi.advanceTimersByTimeAsync(1)
  expect(left).toEqual(['a', 'b', 'c'])
})
