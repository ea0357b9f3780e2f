import { expect, test } from 'vitest'
import { nextDelayMs, retryAfterMs, retryDelaysMs } from './retry-schedule.js'

const now = Date.parse('2026-01-05T10:00:00Z')

test('nine tries, the waits growing from 5 s to a day', () => {
  const waitsS = retryDelaysMs.map((_, at) => nextDelayMs(at + 1, 0)).map((ms) => ms && ms / 1000)
  expect(waitsS).toEqual([5, 30, 120, 600, 3600, 10_800, 28_800, 86_400, undefined])
})

test('jitter lengthens a wait by up to a fifth and never shortens it', () => {
  expect(nextDelayMs(1, 0.5)).toBe(5500)
  expect(nextDelayMs(1, 0.999999)).toBe(6000)
})

test('a receiver that asks for more time gets it; one that asks for less does not hurry us', () => {
  expect(nextDelayMs(1, 0.5, 90_000)).toBe(90_000)
  expect(nextDelayMs(3, 0, 1000)).toBe(120_000)
  expect(nextDelayMs(9, 0, 1000)).toBeUndefined()
})

test('Retry-After is read as seconds or as an HTTP date', () => {
  expect(retryAfterMs('120', now)).toBe(120_000)
  expect(retryAfterMs(' 0 ', now)).toBe(0)
  expect(retryAfterMs('Mon, 05 Jan 2026 10:00:30 GMT', now)).toBe(30_000)
})

test('Retry-After waits at most 24 h and never into the past', () => {
  expect(retryAfterMs('999999999', now)).toBe(86_400_000)
  expect(retryAfterMs('Mon, 05 Jan 2099 10:00:30 GMT', now)).toBe(86_400_000)
  expect(retryAfterMs('Mon, 05 Jan 2026 09:00:00 GMT', now)).toBe(0)
})

test.each([undefined, '', '-1', '1.5', 'soon', '2026-01-05', 'Mon, 99 Jan 2026 10:00:30 GMT'])(
  'a Retry-After of %j counts as none',
  (header) => {
    expect(retryAfterMs(header, now)).toBeUndefined()
  },
)
