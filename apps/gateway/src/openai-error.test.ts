import { type ErrorCode, errorCodes, fieldError, MillraceError, openAiErrorSchema } from '@millrace/contracts'
import { expect, test } from 'vitest'
import { faultResponse, openAiErrorOf } from './openai-error.js'

const answer = (error: MillraceError) => faultResponse('/v1/embeddings', error, 'r1')

test.each(Object.keys(errorCodes) as ErrorCode[])('%s is answered in OpenAI’s form', async (code) => {
  const response = answer(new MillraceError(code, 'words'))
  const { status, retryable } = errorCodes[code]
  expect(response.status).toBe(status === 422 ? 400 : status)
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.headers.get('x-request-id')).toBe('r1')
  expect(response.headers.get('x-should-retry')).toBe(String(retryable))
  const { error } = openAiErrorSchema.strict().parse(await response.json())
  expect(error).toMatchObject({ message: 'words', param: null, code })
})

test.each<[ErrorCode, string]>([
  ['invalid_request', 'invalid_request_error'],
  ['input_too_long', 'invalid_request_error'],
  ['model_not_found', 'invalid_request_error'],
  ['unauthorized', 'authentication_error'],
  ['forbidden', 'permission_error'],
  ['rate_limited', 'rate_limit_error'],
  ['queue_full', 'rate_limit_error'],
  ['queue_unavailable', 'server_error'],
  ['internal', 'server_error'],
])('%s is of the type %s', (code, type) => {
  expect(openAiErrorOf(new MillraceError(code, '')).error.type).toBe(type)
})

test.each([
  ['inputs[3]', 'input[3]: is empty', 'input'],
  ['inputs', 'input: is empty', 'input'],
  ['input', 'input: is empty', 'input'],
  ['model', 'model: is empty', 'model'],
  ['(body)', '(body): is empty', null],
])('a fault of %s names the field as this route calls it', (path, message, param) => {
  expect(openAiErrorOf(fieldError('empty_input', path, 'is empty')).error).toMatchObject({ message, param })
})

test('many faults are told by the first and their number', () => {
  const errors = [1, 4, 5].map((i) => ({
    path: `inputs[${i}]`,
    code: 'empty_input' as const,
    detail: 'is empty',
  }))
  const fault = new MillraceError('empty_input', 'inputs[1]: is empty (and 2 more)', { errors })
  expect(openAiErrorOf(fault).error.message).toBe('input[1]: is empty (and 2 more)')
})

test('a refusal says when to come again', () => {
  const response = answer(new MillraceError('queue_full', 'deep', { retryAfterS: 7 }))
  expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
})

test('what caused a fault never reaches a client', async () => {
  const fault = new MillraceError('internal', 'words', { cause: new Error('redis://:hunter2@10.0.0.7') })
  expect(await answer(fault).text()).not.toContain('hunter2')
})

test('other paths keep the problem form', () => {
  const response = faultResponse('/v1/jobs', new MillraceError('internal', 'words'), 'r1')
  expect(response.headers.get('content-type')).toBe('application/problem+json')
})
