import { expect, test } from 'vitest'
import { Progress } from './progress.js'

test('shows share, lines, failures, rate and what is left', () => {
  const progress = new Progress(1000, 0, 0)
  expect(progress.line(0)).toBe('[                        ] 0 %  0 lines')
  progress.written(1024, 3, 0, 250, 2000)
  expect(progress.line(2000)).toBe('[======                  ] 25 %  1,024 lines  3 failed  512/s  0:06 left')
})

test('goes by the last seconds: a slow beginning does not count for ever', () => {
  const progress = new Progress(1000, 0, 0)
  progress.written(1, 0, 0, 1, 60_000)
  progress.written(10, 0, 0, 11, 70_000)
  progress.written(10, 0, 0, 21, 80_000)
  expect(progress.line(80_000)).toContain('1/s')
})

test('of a resumed run begins where that went on', () => {
  const progress = new Progress(1000, 500, 0)
  progress.written(50, 0, 0, 750, 1000)
  expect(progress.line(1000)).toMatch(/75 %.* 50 lines .* 0:01 left/)
})

test('without a known end shows neither share nor what is left', () => {
  const progress = new Progress(undefined, 0, 0)
  progress.written(5, 0, 0, 9, 1000)
  expect(progress.line(1000)).toBe('5 lines  5/s')
})

test('says what it waits for until something is written', () => {
  const progress = new Progress(undefined, 0, 0)
  progress.waiting('waiting 3 s: the queue is full')
  expect(progress.line(0)).toContain('the queue is full')
  progress.written(1, 0, 0, 1, 1)
  expect(progress.line(1)).not.toContain('the queue is full')
})

test('sums up', () => {
  const progress = new Progress(10, 0, 0)
  progress.written(7322, 2, 1200, 10, 3_661_000)
  expect(progress.summary(3_661_000)).toBe('7,322 lines in 1:01:01, 2/s, 1,200 known to the cache, 2 failed')
})
