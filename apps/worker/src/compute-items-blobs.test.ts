import { MillraceError } from '@millrace/contracts'
import { expect, it, vi } from 'vitest'
import { computerUnderTest, numberOf, request } from './computer-under-test.js'
import type { ReadBlob } from './items-in-flight.js'

const bytes = Buffer.from([1, 2, 3])
const never = new AbortController().signal
const ask = ({ computer }: ReturnType<typeof computerUnderTest>, input: string, blob: ReadBlob) => {
  const [answer] = computer.compute([{ ...request(input), blob }], { signal: never })
  if (!answer) throw new Error('no answer')
  return answer
}

it('the bytes of an item are read when its batch leaves, and not while it waits', async () => {
  const under = computerUnderTest()
  const first = ask(under, 'aaaaaaa', async () => bytes)
  const second = ask(under, 'bbbbbbb', async () => bytes)
  await under.ran(2)
  const late = vi.fn(async () => bytes)
  const third = ask(under, 'ccccccc', late)
  await vi.waitFor(() => expect(under.computer.waitingTokens).toBe(7))
  expect(late).not.toHaveBeenCalled()
  under.batches[0]?.answer()
  await under.ran(3)
  expect(late).toHaveBeenCalledOnce()
  expect(under.batches[2]?.items[0]?.extra?.bytes).toEqual(bytes)
  for (const batch of under.batches) batch.answer()
  expect((await Promise.all([first, second, third])).map((one) => numberOf(one.bytes))).toEqual([7, 7, 7])
})

it('of an item that is known nothing is read', async () => {
  const known = Buffer.from('any')
  const under = computerUnderTest({ 'key of a': [{ state: 'hit', value: known }] })
  const read = vi.fn(async () => bytes)
  expect((await ask(under, 'a', read)).bytes).toEqual(known)
  expect(read).not.toHaveBeenCalled()
})

it('where the first job’s bytes are gone, those of the job that joined it are taken', async () => {
  const under = computerUnderTest({}, { holdTakes: true })
  const first = ask(under, 'a', async () => undefined)
  const joined = ask(under, 'a', async () => bytes)
  await under.asked(1)
  under.takes[0]?.answer()
  await under.ran(1)
  under.batches[0]?.answer()
  expect([numberOf((await first).bytes), numberOf((await joined).bytes)]).toEqual([1, 1])
})

it('an item whose bytes are gone fails alone, its claim is released, and the others go on', async () => {
  const under = computerUnderTest()
  const gone = ask(under, 'aa', async () => undefined)
  expect(numberOf((await gone).bytes)).toBe('inference_failed')
  expect(under.released).toEqual(['key of aa'])
  const good = ask(under, 'bb', async () => bytes)
  await under.ran(1)
  under.batches[0]?.answer()
  expect(numberOf((await good).bytes)).toBe(2)
})

it('while Redis is away an item does not fail: its chunk is to be tried again, and the model is not lost', async () => {
  const under = computerUnderTest()
  const away = new MillraceError('queue_unavailable', 'away')
  await expect(ask(under, 'aa', () => Promise.reject(away))).rejects.toBe(away)
  expect(under.released).toEqual(['key of aa'])
  expect(under.lost()).toBeUndefined()
})

it('what waits with a file leaves by priority, too', async () => {
  const under = computerUnderTest()
  const read = async () => bytes
  const ask = (input: string, priority: number) =>
    under.computer.compute([{ ...request(input), priority, blob: read }], { signal: never })
  ask('aaaaaaaa', 0)
  ask('bbbbbbbb', 0)
  await under.ran(2)
  ask('ccccccc', 9)
  ask('dddddd', 0)
  await expect.poll(() => under.computer.waitingTokens).toBe(13)
  for (const next of [2, 3]) {
    under.batches[next - 2]?.answer()
    await under.ran(next + 1)
  }
  expect(under.batches.map(({ items }) => items.map(({ ids }) => ids.length))).toEqual([[8], [8], [6], [7]])
})
