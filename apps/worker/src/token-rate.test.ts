import { beforeEach, expect, it } from 'vitest'
import { TokenRate } from './token-rate.js'

let nowMs: number
let rate: TokenRate
beforeEach(() => {
  nowMs = 0
  rate = new TokenRate(() => nowMs)
})
const batch = (tokens: number, ms: number) => {
  rate.begin()
  nowMs += ms
  rate.end(tokens)
}

it('is unknown until a batch was computed', () => {
  expect(rate.perSecond).toBeNull()
  rate.begin()
  expect(rate.perSecond).toBeNull()
})

it('counts the time in which there was work, and no other', () => {
  batch(100, 50)
  nowMs += 60_000
  batch(100, 50)
  expect(rate.perSecond).toBe(2000)
})

it('counts time in which two batches are under way once', () => {
  rate.begin()
  nowMs += 10
  rate.begin()
  nowMs += 10
  rate.end(60)
  nowMs += 20
  rate.end(60)
  expect(rate.perSecond).toBe(3000)
})

it('counts the time of a batch that failed, and none of its tokens', () => {
  batch(100, 100)
  batch(0, 100)
  expect(rate.perSecond).toBe(500)
})

it('follows a change of speed within about a minute of work', () => {
  for (let i = 0; i < 1000; i++) batch(1000, 100)
  expect(rate.perSecond).toBeCloseTo(10_000)
  for (let i = 0; i < 600; i++) batch(100, 100)
  expect(rate.perSecond).toBeGreaterThan(1000)
  expect(rate.perSecond).toBeLessThan(1500)
})
