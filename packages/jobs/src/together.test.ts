import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Together } from './together.js'

function counted(most = 10, answer = (item: number): number => 10 * item) {
  const sent: number[][] = []
  const together = new Together<number, number>(async (items) => {
    sent.push([...items])
    return items.map(answer)
  }, most)
  return { sent, together }
}

test('what is asked in one turn, also by its promises, is sent once; each has its own answer', async () => {
  const { sent, together } = counted()
  const later = Promise.resolve().then(() => together.ask(3))
  const answers = await Promise.all([together.ask(1), together.ask(2), later])
  expect(answers).toEqual([10, 20, 30])
  expect(sent).toEqual([[1, 2, 3]])
  await setImmediate()
  expect(await together.ask(4)).toBe(40)
  expect(sent).toEqual([[1, 2, 3], [4]])
})

test('more than the most are sent in parts, in order, and none is lost', async () => {
  const { sent, together } = counted(2)
  const answers = await Promise.all([1, 2, 3, 4, 5].map((item) => together.ask(item)))
  expect(answers).toEqual([10, 20, 30, 40, 50])
  expect(sent).toEqual([[1, 2], [3, 4], [5]])
})

test('a part that fails fails for all in it and no one else, and what is asked then is sent again', async () => {
  let fails = true
  const together = new Together<number, number>(async (items) => {
    if (fails && items.includes(3)) throw new Error('away')
    return [...items]
  }, 2)
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map((item) => together.ask(item)))
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
  fails = false
  expect(await together.ask(3)).toBe(3)
})

test('answers that are too few are a fault, not a wait without end', async () => {
  const together = new Together<number, number>(async () => [1], 10)
  const outcomes = await Promise.allSettled([together.ask(1), together.ask(2)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})
