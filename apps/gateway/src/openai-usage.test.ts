import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { TokenCounts } from './openai-usage.js'

function counted() {
  const asked: string[] = []
  const counts = new TokenCounts({
    maxTokens: 100_000,
    count(text) {
      asked.push(text)
      return text.length
    },
  })
  return { counts, asked }
}

test('every input counts, also the second time it comes', async () => {
  const { counts } = counted()
  expect(await counts.total(['aa', 'b', 'aa'])).toBe(5)
  expect(await counts.total(['aa'])).toBe(2)
  expect(await counts.total([])).toBe(0)
})

test('a short text is counted once, a long one each time', async () => {
  const { counts, asked } = counted()
  const long = 'x'.repeat(2000)
  for (let i = 0; i < 3; i++) await counts.total(['hot', long])
  expect(asked).toEqual(['hot', long, long, long])
})

test('what is remembered is bounded, and a hot text outlives cold ones', async () => {
  const { counts, asked } = counted()
  const cold = (i: number) => `${i} `.padEnd(1024, 'x')
  for (let i = 0; i < 3000; i++) await counts.total(['hot', cold(i)])
  await counts.total(['hot', cold(2999), cold(0)])
  expect(asked.filter((text) => text === 'hot')).toHaveLength(1)
  expect(asked.filter((text) => text === cold(2999))).toHaveLength(1)
  expect(asked.filter((text) => text === cold(0))).toHaveLength(2)
})

test('others get their turn while a long array is counted', async () => {
  const { counts, asked } = counted()
  const total = counts.total(Array.from({ length: 100 }, (_, i) => String(i).padEnd(500, 'x')))
  await nextTurn()
  expect(asked.length).toBeGreaterThan(0)
  expect(asked.length).toBeLessThan(100)
  expect(await total).toBe(50_000)
})
