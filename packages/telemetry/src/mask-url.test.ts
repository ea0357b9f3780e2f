import { expect, test } from 'vitest'
import { maskUrl } from './mask-url.js'

test.each([
  ['redis://:pw@127.0.0.1:6379/0', 'redis://:***@127.0.0.1:6379/0'],
  ['rediss://user:p%40w@host/1', 'rediss://user:***@host/1'],
  ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
  ['redis://host:1?password=pw&db=2', 'redis://host:1?password=***&db=2'],
  ['redis://:p/w@host:6379x', 'redis://:***@host:6379x'],
])('the password of %s is masked', (url, masked) => {
  expect(maskUrl(url)).toBe(masked)
})
