import { expect, test } from 'vitest'
import { readLine } from './input-item.js'

const read = (value: unknown) => readLine({ index: 3, bytes: Buffer.from(JSON.stringify(value)), endsAt: 0 })

test('a line is a text, or an object with a text or another form of input as its `input`', () => {
  const pair = { query: 'which mill?', text: 'this one' }
  expect(read('a')).toEqual({ item: { index: 3, id: undefined, input: 'a' } })
  expect(read({ input: 'a', id: 7 })).toEqual({ item: { index: 3, id: 7, input: 'a' } })
  const asked = { question: 'which mill?', context: 'this one' }
  const chat = { messages: [{ role: 'user', content: 'which mill?' }] }
  for (const input of [
    pair,
    asked,
    chat,
    { image: 'https://example.com/a.png' },
    { audio: 'data:audio/wav;base64,' },
  ]) {
    expect(read({ input, id: 7 })).toEqual({ item: { index: 3, id: 7, input } })
  }
})

test.each([
  7,
  null,
  ['a'],
  {},
  { input: 7 },
  { input: { query: 'q' } },
  { input: { image: 7 } },
  { query: 'q', text: 't' },
])('any other line fails by itself: %j', (value) => {
  expect(read(value)).toMatchObject({ failed: { index: 3, error: { code: 'invalid_request' } } })
})
