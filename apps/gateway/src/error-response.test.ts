import { type ErrorCode, errorCodes, MillraceError, problemSchema } from '@millrace/contracts'
import { expect, test } from 'vitest'
import { problemResponse, toMillraceError } from './error-response.js'

const secret = 'redis://:hunter2@10.0.0.7:6379'

test('what caused a fault never reaches a client', async () => {
  const fault = new MillraceError('queue_unavailable', 'The queue store cannot be reached', {
    cause: new Error(secret),
  })
  const text = await problemResponse(fault, 'r1').text()
  expect(text).not.toContain('hunter2')
  expect(text).not.toContain('stack')
  expect(JSON.parse(text)).toMatchObject({ code: 'queue_unavailable', status: 503, retryable: true })
})

test('an unknown error becomes internal: it is the cause and not the detail', async () => {
  const thrown = new Error(secret)
  const fault = toMillraceError(thrown)
  expect(fault.cause).toBe(thrown)
  const response = problemResponse(fault, 'r1')
  expect(response.status).toBe(500)
  expect(await response.text()).not.toContain('hunter2')
})

test.each(Object.keys(errorCodes) as ErrorCode[])(
  '%s is answered with its own status, as a problem of the contract',
  async (code) => {
    const response = problemResponse(new MillraceError(code, 'words'), 'r1')
    expect(response.status).toBe(errorCodes[code].status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('x-request-id')).toBe('r1')
    const problem = problemSchema.parse(await response.json())
    expect(problem).toMatchObject({
      code,
      type: `urn:millrace:error:${code}`,
      request_id: 'r1',
      detail: 'words',
    })
  },
)

test('Retry-After is there exactly when the fault carries one', () => {
  const withOne = problemResponse(new MillraceError('queue_full', 'x', { retryAfterS: 7 }), 'r')
  expect(withOne.headers.get('retry-after')).toBe('7')
  expect(problemResponse(new MillraceError('queue_full', 'x'), 'r').headers.has('retry-after')).toBe(false)
})
