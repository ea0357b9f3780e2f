import { EventEmitter, getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EventWriter } from './event-writer.js'

/** What a writer does with Node's response. */
class FakeOutgoing extends EventEmitter {
  readonly written: string[] = []
  head: { status: number; headers: Record<string, string> } | undefined
  writableLength = 0
  destroyed = false
  ended = 0

  writeHead(status: number, headers: Record<string, string>): void {
    this.head = { status, headers }
  }
  write(text: string): boolean {
    this.written.push(text)
    return true
  }
  end(): this {
    this.ended += 1
    return this
  }
  destroy(): this {
    this.destroyed = true
    process.nextTick(() => this.emit('close'))
    return this
  }
}

const event = { id: '1-0', type: 'progress', data: '{"done":1,"total":2}' }
let outgoing: FakeOutgoing
let stopping: AbortController

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  outgoing = new FakeOutgoing()
  stopping = new AbortController()
})
afterEach(() => {
  vi.useRealTimers()
})

const open = () => new EventWriter(outgoing as never, { 'x-job-id': 'j' }, stopping.signal)

test('an answer begins at once, as a stream that no proxy keeps or holds back', () => {
  open()
  expect(outgoing.head).toEqual({
    status: 200,
    headers: {
      'x-job-id': 'j',
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    },
  })
  expect(outgoing.written).toEqual([': millrace\n\n'])
})

test('an event is its id, its type and one line of data', () => {
  const writer = open()
  writer.send(event)
  expect(outgoing.written.at(-1)).toBe('id: 1-0\nevent: progress\ndata: {"done":1,"total":2}\n\n')
})

test('a ping is written every 15 s, until the end', () => {
  const writer = open()
  const pings = () => outgoing.written.filter((text) => text === ': ping\n\n').length
  vi.advanceTimersByTime(14_999)
  expect(pings()).toBe(0)
  vi.advanceTimersByTime(30_001)
  expect(pings()).toBe(3)
  writer.end()
  expect(outgoing.ended).toBe(1)
  vi.advanceTimersByTime(60_000)
  expect(pings()).toBe(3)
  expect(vi.getTimerCount()).toBe(0)
})

test.each<[string, (writer: EventWriter) => void]>([
  ['an event', (writer) => writer.send(event)],
  ['a ping', () => vi.advanceTimersByTime(15_000)],
])('a reader that leaves more than 1 MiB unread is let go: %s is not written', async (_name, write) => {
  const writer = open()
  outgoing.writableLength = 1 << 20
  writer.send(event)
  expect(outgoing.destroyed).toBe(false)
  const { length } = outgoing.written
  outgoing.writableLength += 1
  write(writer)
  expect([outgoing.destroyed, outgoing.written.length]).toEqual([true, length])
  await writer.closed
  expect(writer.isClosed).toBe(true)
})

test('nothing is written to a client that is gone', async () => {
  const writer = open()
  outgoing.emit('close')
  await writer.closed
  const { length } = outgoing.written
  writer.send(event)
  vi.advanceTimersByTime(15_000)
  expect(outgoing.written).toHaveLength(length)
  writer.end()
  expect(vi.getTimerCount()).toBe(0)
})

test('a gateway that stops ends the stream, and one that has stopped never begins it', async () => {
  const writer = open()
  stopping.abort()
  await writer.closed
  const late = open()
  await late.closed
  expect([writer.isClosed, late.isClosed]).toEqual([true, true])
})

test('a client that left before its stream began is gone from the start', async () => {
  outgoing.destroyed = true
  await open().closed
})

test('a stream that is over leaves nothing on the gateway’s own signal', () => {
  for (let i = 0; i < 3; i++) open()
  expect(getEventListeners(stopping.signal, 'abort')).toHaveLength(3)
  outgoing.emit('close')
  expect(getEventListeners(stopping.signal, 'abort')).toHaveLength(0)
})
