import { expect, test } from 'vitest'
import { Ahead } from './ahead.js'

function ahead(...idle: string[]) {
  const clock = { nowMs: 1_000_000 }
  const fleet = new Ahead({ idleWorkers: () => idle }, 5000, () => clock.nowMs)
  return { fleet, clock }
}
const ownerOf = (errand: ReturnType<Ahead['errand']>) =>
  errand?.ask(() => {
    throw new Error('nobody asks')
  }).owner

test('each worker has one errand at a time', () => {
  const { fleet } = ahead('w1', 'w2')
  const first = fleet.errand('m', 'a')
  expect([ownerOf(first), ownerOf(fleet.errand('m', 'b'))]).toEqual(['w1', 'w2'])
  expect(fleet.errand('m', 'c')).toBeUndefined()
  first?.end()
  expect(ownerOf(fleet.errand('m', 'd'))).toBe('w1')
})

test('a worker that did not hear is left alone for ten seconds, and the next one is told', () => {
  const { fleet, clock } = ahead('w1', 'w2')
  const first = fleet.errand('m', 'a')
  first?.unheard()
  first?.end()
  const second = fleet.errand('m', 'b')
  expect(ownerOf(second)).toBe('w2')
  second?.end()
  clock.nowMs += 9999
  expect(ownerOf(fleet.errand('m', 'c'))).toBe('w2')
  clock.nowMs += 1
  expect(ownerOf(fleet.errand('m', 'd'))).toBe('w1')
})

test('where no worker is idle there is none', () => {
  expect(ahead().fleet.errand('m', 'a')).toBeUndefined()
})

test('a long text is left to the queue', () => {
  expect(ahead('w1').fleet.errand('m', 'x'.repeat(4096))).toBeDefined()
  expect(ahead('w1').fleet.errand('m', 'x'.repeat(4097))).toBeUndefined()
})
