import { expect, test } from 'vitest'
import { readableLine } from './log-line.js'

test('a log record reads as time, level, message and fields', () => {
  const line =
    '{"level":"info","time":"2026-01-01T10:11:12.000Z","name":"worker","pid":1,"model":"m x","ms":2,"msg":"batch"}'
  expect(readableLine(line)).toMatch(/^\d\d:\d\d:12 info {2}batch model="m x" ms=2$/)
})

test('an error keeps its stack, indented', () => {
  const line = JSON.stringify({ level: 'error', msg: 'lost', err: { stack: 'Error: x\n  at y' } })
  expect(readableLine(line)).toBe('error lost\n    Error: x\n      at y')
})

test.each(['plain text', '{"no":"record"}', '{broken', ''])(
  'what is no record stays as it is: %s',
  (line) => {
    expect(readableLine(line)).toBe(line)
  },
)
