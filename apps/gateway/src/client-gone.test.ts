import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { clientGone } from './client-gone.js'
import type { RequestContext } from './context.js'

/** A request whose answer goes out over `outgoing`. */
function request(more: { destroyed?: boolean } = {}) {
  const outgoing = Object.assign(new EventEmitter(), { destroyed: false, writableFinished: false, ...more })
  return { outgoing, c: { env: { outgoing } } as unknown as RequestContext }
}

test('a client that leaves before its answer is out is gone; one that has its answer is not', () => {
  const stopping = new AbortController()
  const [left, answered] = [request(), request()]
  const [gone, stayed] = [left, answered].map(({ c }) => clientGone(c, stopping.signal))
  left.outgoing.emit('close')
  answered.outgoing.writableFinished = true
  answered.outgoing.emit('close')
  expect([gone?.aborted, stayed?.aborted]).toEqual([true, false])
  stopping.abort()
  expect(stayed?.aborted).toBe(false)
})

test('the end of the process ends every open wait, and one that begins then', () => {
  const stopping = new AbortController()
  const waits = [request(), request()].map(({ c }) => clientGone(c, stopping.signal))
  expect(waits.map(({ aborted }) => aborted)).toEqual([false, false])
  stopping.abort()
  expect(waits.map(({ aborted }) => aborted)).toEqual([true, true])
  expect(clientGone(request().c, stopping.signal).aborted).toBe(true)
})

test('a client that left before anybody asked is gone', () => {
  const stopping = new AbortController()
  expect(clientGone(request({ destroyed: true }).c, stopping.signal).aborted).toBe(true)
})
