import { version } from 'uuid'
import { expect, test } from 'vitest'
import { newJobId } from './job-id.js'

test('ids are UUIDv7, carry their time, and never repeat, across draws of randomness', () => {
  const before = Date.now()
  const ids = Array.from({ length: 2000 }, newJobId)
  const after = Date.now()
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) {
    expect(version(id)).toBe(7)
    const ms = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
    expect(ms).toBeGreaterThanOrEqual(before)
    expect(ms).toBeLessThanOrEqual(after)
  }
})
