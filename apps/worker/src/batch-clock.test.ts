import { describe, expect, test } from 'vitest'
import { BatchClock } from './batch-clock.js'

function clockOf(processes: number) {
  let nowMs = 0
  const clock = new BatchClock(processes, () => nowMs)
  return { clock, at: (ms: number) => (nowMs = ms) }
}

/** A pass of 100 tokens took 50 ms. */
function learned(processes = 1) {
  const under = clockOf(processes)
  const out = under.clock.begin(100)
  under.at(50)
  under.clock.end(out, 50)
  return under
}

describe('a batch is needed at once', () => {
  test('while a model process is idle', () => {
    const { clock } = learned(2)
    expect(clock.waitMs()).toBe(0)
    clock.begin(100)
    expect(clock.waitMs()).toBe(0)
  })

  test('while nothing is known of the speed', () => {
    const { clock } = clockOf(1)
    clock.begin(100)
    expect(clock.waitMs()).toBe(0)
  })

  test('once the one that runs takes longer than expected', () => {
    const { clock, at } = learned()
    clock.begin(100)
    at(1000)
    expect(clock.waitMs()).toBe(0)
  })
})

describe('a batch is needed shortly before', () => {
  test('the one that runs is expected to end, by its tokens', () => {
    const { clock, at } = learned()
    clock.begin(200)
    expect(clock.waitMs()).toBe(98)
    at(100)
    expect(clock.waitMs()).toBe(48)
  })

  test('the first of several ends', () => {
    const { clock } = learned(2)
    clock.begin(200)
    clock.begin(100)
    expect(clock.waitMs()).toBe(48)
  })

  test('the one ends that is ready for the first process that is free, or the second of several', () => {
    const { clock } = learned(2)
    clock.begin(200)
    clock.begin(100)
    clock.begin(10)
    expect(clock.waitMs()).toBe(53)
    clock.begin(100)
    expect(clock.waitMs()).toBe(98)
  })

  test('by as much as is asked for', () => {
    const { clock } = learned()
    clock.begin(200)
    expect(clock.waitMs(8)).toBe(92)
  })

  test('the one that was ready ends, once it runs', () => {
    const { clock, at } = learned()
    const running = clock.begin(100)
    clock.begin(300)
    at(100)
    clock.end(running, 50)
    expect(clock.waitMs()).toBe(148)
  })
})

test('a slow pass says little of the speed where it was small', () => {
  const { clock } = learned()
  clock.end(clock.begin(10), 20)
  clock.begin(100)
  // A tenth of a tenth of the way from 0.5 to 2 ms per token.
  expect(clock.waitMs()).toBeCloseTo(49.5, 1)
})

test('a faster pass is believed at once, a slower one by a tenth; one that gave nothing says nothing', () => {
  const { clock, at } = learned()
  clock.end(clock.begin(100), 150)
  const probe = clock.begin(100)
  expect(clock.waitMs()).toBeCloseTo(58, 6)
  clock.end(probe)
  clock.end(clock.begin(100), 20)
  at(60)
  clock.begin(100)
  expect(clock.waitMs()).toBeCloseTo(18, 6)
})
