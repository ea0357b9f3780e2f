import { expect, test } from 'vitest'
import { DrainRate } from './drain-rate.js'

const done = (count: number) => new Map([['w', count]])

function loaded(): DrainRate {
  const rate = new DrainRate()
  for (let second = 0; second <= 6; second++) rate.note(done(second * 20), true, second * 1000)
  return rate
}

test('it is what workers finished per second while chunks waited', () => {
  expect(loaded().perSecond).toBe(20)
})

test('it is kept, and not diluted, while nothing waits: an idle fleet refuses no burst', () => {
  const rate = loaded()
  for (let second = 7; second <= 30; second++) rate.note(done(121), false, second * 1000)
  expect(rate.perSecond).toBe(20)
})

test('a fleet that was never busy has none', () => {
  const rate = new DrainRate()
  for (let second = 0; second <= 16; second++) rate.note(done(second < 8 ? 0 : 1), false, second * 1000)
  expect(rate.perSecond).toBe(0)
})

test('a restart of a worker counts on, and the past of a new one does not count', () => {
  const rate = new DrainRate()
  rate.note(done(1000), true, 0)
  rate.note(done(10), true, 2000)
  rate.note(
    new Map([
      ['w', 30],
      ['new', 5000],
    ]),
    true,
    4000,
  )
  expect(rate.perSecond).toBe(30 / 4)
})
