import { expect, it } from 'vitest'
import { ArrivalOrder } from './arrival-order.js'

it('batches of the other kind hold the next items in the order they came, padded to the longest', () => {
  const batcher = new ArrivalOrder<string>({ maxItems: 2 }, () => 5)
  for (const [name, tokens] of [
    ['a', 10],
    ['b', 250],
    ['c', 5],
    ['d', 7],
  ] as const)
    batcher.add(name, tokens)
  expect(batcher.remove((name) => name === 'c')).toEqual(['c'])
  expect([batcher.size, batcher.tokens]).toEqual([3, 267])
  expect(batcher.take()).toEqual({
    items: ['a', 'b'],
    realTokens: 260,
    paddedTokens: 500,
    reason: 'items',
    waitedMs: 0,
  })
  expect(batcher.take()).toMatchObject({ items: ['d'], paddedTokens: 7, reason: 'drained' })
  expect(batcher.take()).toBeUndefined()
})
