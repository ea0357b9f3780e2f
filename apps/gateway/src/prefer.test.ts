import { expect, test } from 'vitest'
import { waitSeconds } from './prefer.js'

test.each([
  ['wait=10', 10],
  ['WAIT = 10', 10],
  ['wait="7"', 7],
  ['respond-async, wait=5', 5],
  ['respond-async; wait=5', 5],
  ['wait=3, wait=9', 3],
  ['wait=0', 0],
  ['return=minimal,wait=100', 60],
  ['wait=999999999', 60],
])('Prefer: %s asks for %i s, at most the limit', (header, seconds) => {
  expect(waitSeconds(header, undefined, 60)).toBe(seconds)
})

test.each([
  undefined,
  '',
  'respond-async',
  'wait',
  'wait=',
  'wait=abc',
  'wait=-1',
  'wait=1.5',
  'await=10',
  'x-wait=10',
])('Prefer: %s is ignored', (header) => {
  expect(waitSeconds(header, undefined, 60)).toBe(0)
})

test('?wait wins over Prefer, is limited alike, and is refused where it is no whole number', () => {
  expect(waitSeconds('wait=5', '9', 60)).toBe(9)
  expect(waitSeconds(undefined, '100', 60)).toBe(60)
  for (const query of ['', 'soon', '-1', '1.5', '1e3']) {
    expect(() => waitSeconds('wait=5', query, 60)).toThrow(
      expect.objectContaining({
        code: 'invalid_request',
        errors: [expect.objectContaining({ path: 'wait' })],
      }),
    )
  }
})
