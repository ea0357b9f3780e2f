import { expect, test } from 'vitest'
import { endOfTurn } from './end-of-turn.js'

test('all who wait in one turn are let go in its end, in the order in which they came', async () => {
  const left: number[] = []
  const all = Array.from({ length: 10_000 }, (_, i) => endOfTurn().then(() => left.push(i)))
  await Promise.resolve()
  expect(left).toEqual([])
  await Promise.all(all)
  expect(left).toEqual(Array.from({ length: 10_000 }, (_, i) => i))
})

test('they share one promise; whoever comes after that end has one of its own', async () => {
  const first = endOfTurn()
  expect(endOfTurn()).toBe(first)
  await first
  const second = endOfTurn()
  expect(second).not.toBe(first)
  await second
})

test('one that waits from within the end of a turn is let go in the next', async () => {
  const turns: string[] = []
  await endOfTurn()
  const nested = endOfTurn().then(async () => {
    turns.push('first')
    await endOfTurn()
    turns.push('second')
  })
  await nested
  expect(turns).toEqual(['first', 'second'])
})
