import { MillraceError } from '@millrace/contracts'
import { describe, expect, test } from 'vitest'
import { type AdmissionState, admit } from './admission.js'

const limits = { queueLimitChunks: 100, memoryLimit: 0.8, deadlineS: 60, requireWorker: false }
const idle: AdmissionState = { waiting: 0, chunksPerS: 0, memory: undefined, workers: 1 }

function refusal(chunks: number, state: Partial<AdmissionState>): MillraceError {
  try {
    admit(chunks, { ...idle, ...state }, limits)
  } catch (error) {
    if (error instanceof MillraceError) return error
  }
  throw new Error('it was admitted')
}

describe('queue depth', () => {
  test('a submit that fits exactly is admitted, one chunk more is refused', () => {
    admit(10, { ...idle, waiting: 90 }, limits)
    expect(refusal(11, { waiting: 90 })).toMatchObject({ code: 'queue_full', status: 429 })
  })

  test.each([
    [119, 10, 2],
    [100, 100, 1],
    [5000, 10, 60],
    [119, 0, 15],
  ])(
    'with %i waiting and %i/s drained, Retry-After is the excess over the rate: %i s',
    (waiting, rate, seconds) => {
      expect(refusal(1, { waiting, chunksPerS: rate }).retryAfterS).toBe(seconds)
    },
  )
})

describe('deadline', () => {
  test('a queue that is done only after the deadline is refused, with the time until it is not', () => {
    expect(refusal(1, { waiting: 49, chunksPerS: 0.5 })).toMatchObject({
      code: 'queue_full',
      retryAfterS: 40,
    })
    admit(1, { ...idle, waiting: 29, chunksPerS: 0.5 }, limits)
  })

  test('an unknown rate refuses nobody', () => {
    admit(1, { ...idle, waiting: 50 }, limits)
  })
})

describe('memory', () => {
  test('a nearly full queue Redis is 503 with a computed Retry-After', () => {
    const state = { waiting: 40, chunksPerS: 5, memory: { used: 81, max: 100 } }
    expect(refusal(1, state)).toMatchObject({ code: 'queue_memory', status: 503, retryAfterS: 4 })
  })

  test('at the limit, without a limit, and with none known, a submit is admitted', () => {
    for (const memory of [{ used: 80, max: 100 }, { used: 1e12, max: 0 }, undefined])
      admit(1, { ...idle, memory }, limits)
  })
})

describe('a model without a worker', () => {
  test('is admitted by default, and refused with 503 where a worker is needed', () => {
    admit(1, { ...idle, workers: 0 }, limits)
    const needed = { ...limits, requireWorker: true }
    admit(1, idle, needed)
    expect(() => admit(1, { ...idle, workers: 0 }, needed)).toThrow(
      expect.objectContaining({ code: 'no_worker', status: 503, retryable: true, retryAfterS: 10 }),
    )
  })
})
