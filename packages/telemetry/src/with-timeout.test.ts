import { expect, test } from 'vitest'
import { TimeoutError, withTimeout } from './with-timeout.js'

test('a promise in time is passed through, its value and its error', async () => {
  expect(await withTimeout(Promise.resolve(1), 1000, 'late')).toBe(1)
  await expect(withTimeout(Promise.reject(new Error('own')), 1000, 'late')).rejects.toThrow('own')
})

test('a promise that takes too long is a TimeoutError in the words given', async () => {
  const late = withTimeout(new Promise(() => {}), 5, 'the queue did not answer')
  await expect(late).rejects.toThrow(TimeoutError)
  await expect(late).rejects.toThrow('the queue did not answer')
})
