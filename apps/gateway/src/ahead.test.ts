import { expect, test } from 'vitest'
import { Ahead } from './ahead.js'

const ahead = (...idle: string[]) => new Ahead({ idleWorkers: () => idle }, 5000)

test('each worker has one errand at a time', () => {
  const fleet = ahead('w1', 'w2')
  const facts = () => {
    throw new Error('nobody asks')
  }
  const first = fleet.errand('m', 'a')
  const owners = [first, fleet.errand('m', 'b')].map((errand) => errand?.ask(facts).owner)
  expect(owners).toEqual(['w1', 'w2'])
  expect(fleet.errand('m', 'c')).toBeUndefined()
  first?.end()
  first?.end()
  expect(fleet.errand('m', 'd')?.ask(facts).owner).toBe('w1')
})

test('where no worker is idle there is none', () => {
  expect(ahead().errand('m', 'a')).toBeUndefined()
})

test('a long text is left to the queue', () => {
  expect(ahead('w1').errand('m', 'x'.repeat(4096))).toBeDefined()
  expect(ahead('w1').errand('m', 'x'.repeat(4097))).toBeUndefined()
})
