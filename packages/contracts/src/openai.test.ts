import { expect, test } from 'vitest'
import { createEmbeddingsSchema } from './openai.js'

const parse = (more: object) => createEmbeddingsSchema.safeParse({ model: 'm', ...more })

test.each([['a'], [''], [['a', 'b']], [[]], [[1, 2]], [[[1], [2, 3]]], [[[]]]])('%j is an input', (input) => {
  expect(parse({ input })).toMatchObject({ success: true, data: { input } })
})

test.each([
  [undefined],
  [null],
  [1],
  [{}],
  [['a', 1]],
  [[1, 'a']],
  [[1, [2]]],
  [[[1], 2]],
  [[[1], ['a']]],
  [[null]],
  [[-1]],
  [[1.5]],
  [[2 ** 31]],
  [[[[1]]]],
])('%j is none, and one fault says so', (input) => {
  const { error } = parse({ input })
  expect(error?.issues).toMatchObject([{ path: ['input'], message: expect.stringContaining('token ids') }])
})

test('a field that is null counts as absent, and one that nobody knows is left out', () => {
  const body = { input: 'a', encoding_format: null, dimensions: null, user: null, input_type: 'query' }
  expect(Object.keys(parse(body).data ?? {})).not.toContain('input_type')
})

test.each([
  ['encoding_format', 'hex'],
  ['dimensions', 0],
  ['dimensions', '384'],
  ['user', 7],
  ['model', ''],
])('%s cannot be %j', (field, value) => {
  expect(parse({ input: 'a', [field]: value }).error?.issues).toMatchObject([{ path: [field] }])
})
