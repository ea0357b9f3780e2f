import type { SendOutcome } from '@millrace/webhooks'
import { describe, expect, it, test } from 'vitest'
import { decide, healthOf } from './decide.js'

const answered = (statusCode: number, retryAfterMs?: number): SendOutcome => ({
  kind: 'answered',
  statusCode,
  retryAfterMs,
})
const failed: SendOutcome = { kind: 'failed', error: 'no answer within the time limit' }
const refused: SendOutcome = { kind: 'refused', error: 'not a public address' }
const dayMs = 86_400_000
const decided = (sent: SendOutcome, attempt = 1, leftMs = 30 * dayMs) =>
  decide(sent, attempt, { leftMs, random: 0 })

test.each([200, 201, 204, 299])('%i is delivered', (status) => {
  expect(decided(answered(status))).toEqual({ outcome: 'delivered' })
})

test.each([301, 302, 307, 308, 400, 401, 404, 408, 422, 429, 500, 503])('%i is tried again', (status) => {
  expect(decided(answered(status))).toEqual({ outcome: 'will_retry', delayMs: 5000 })
})

test('no answer is tried again by the schedule, and the ninth try is the last', () => {
  expect(decided(failed, 4)).toEqual({ outcome: 'will_retry', delayMs: 600_000 })
  expect(decided(failed, 8)).toEqual({ outcome: 'will_retry', delayMs: dayMs })
  expect(decided(failed, 9)).toEqual({ outcome: 'given_up' })
})

test('410 and an address that may not be called are the end', () => {
  expect(decided(answered(410))).toEqual({ outcome: 'given_up' })
  expect(decided(refused)).toEqual({ outcome: 'given_up' })
})

test('a receiver that asks for time gets it; one that asks for less does not hurry us', () => {
  expect(decided(answered(503, 90_000))).toEqual({ outcome: 'will_retry', delayMs: 90_000 })
  expect(decided(answered(429, 1000))).toEqual({ outcome: 'will_retry', delayMs: 5000 })
})

describe('the end of the job', () => {
  it('moves the last try up to just before it', () => {
    expect(decided(failed, 5, 3_600_000)).toEqual({ outcome: 'will_retry', delayMs: 3_595_000 })
  })

  it('is the end of its webhook', () => {
    expect(decided(failed, 5, 5000)).toEqual({ outcome: 'given_up' })
    expect(decided(failed, 1, -1)).toEqual({ outcome: 'given_up' })
  })

  it('never brings a try before the time that was asked for', () => {
    expect(decided(answered(503, 7_200_000), 1, 3_600_000)).toEqual({ outcome: 'given_up' })
  })
})

test('an endpoint is in trouble when it does not answer, or answers 5xx or 429', () => {
  expect([failed, answered(500), answered(503), answered(429)].map(healthOf)).toEqual(Array(4).fill('bad'))
  expect([200, 302, 404, 410].map((status) => healthOf(answered(status)))).toEqual(Array(4).fill('good'))
  expect(healthOf(refused)).toBe('none')
})
