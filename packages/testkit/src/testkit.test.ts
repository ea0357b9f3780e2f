import { spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import {
  collectEvents,
  eventually,
  freePort,
  isAlive,
  killProcess,
  waitForEvent,
  waitForLine,
} from './index.js'

type Seen = { type: 'started'; pid: number } | { type: 'stopped'; reason: string }

test('eventually resolves to the first truthy answer and treats a throw as not yet', async () => {
  let calls = 0
  const answer = await eventually(() => {
    calls++
    if (calls === 1) throw new Error('not there')
    return calls === 3 ? 'third' : undefined
  })
  expect(answer).toBe('third')
  expect(calls).toBe(3)
})

test('eventually says what was awaited and what it saw last', async () => {
  const waiting = eventually(() => false, { timeoutMs: 30, what: 'a settled job' })
  await expect(waiting).rejects.toThrow(
    /a settled job did not come true within 30 ms: it last answered false/,
  )
  const throwing = eventually(() => Promise.reject(new Error('refused')), { timeoutMs: 30 })
  await expect(throwing).rejects.toThrow(/it last threw refused/)
})

test('eventually ends in time even when the check itself hangs', async () => {
  await expect(eventually(() => new Promise(() => {}), { timeoutMs: 30 })).rejects.toThrow(/within 30 ms/)
})

test('waitForEvent resolves with the event and leaves no listener behind', async () => {
  const emitter = new EventEmitter()
  const waiting = waitForEvent(emitter, 'ready')
  emitter.emit('ready', 1, 2)
  expect(await waiting).toEqual([1, 2])
  await expect(waitForEvent(emitter, 'gone', { timeoutMs: 20 })).rejects.toThrow(
    /no 'gone' event within 20 ms/,
  )
  expect(emitter.eventNames()).toEqual([])
})

test('an event log finds an event that was seen and one that is still to come', async () => {
  const log = collectEvents<Seen>()
  log.on({ type: 'started', pid: 1 })
  expect((await log.next('started')).pid).toBe(1)
  const second = log.next('started', (event) => event.pid === 2)
  log.on({ type: 'stopped', reason: 'asked' })
  log.on({ type: 'started', pid: 2 })
  expect((await second).pid).toBe(2)
  expect(log.all('started').map((event) => event.pid)).toEqual([1, 2])
  await expect(log.next('stopped', (e) => e.reason === 'crash', { timeoutMs: 20 })).rejects.toThrow(
    /no fitting 'stopped' event within 20 ms; seen: started, stopped/,
  )
})

test('waitForLine finds lines of both outputs, also printed before it was asked, and says why it gave up', async () => {
  const script = `console.log('listening on 4321'); console.error('warned'); console.log('bye')`
  const child = spawn(process.execPath, ['-e', script])
  expect((await waitForLine(child, /bye/)).input).toBe('bye')
  expect((await waitForLine(child, /listening on (\d+)/))[1]).toBe('4321')
  await waitForLine(child, /^warned$/)
  await expect(waitForLine(child, /never/)).rejects.toThrow(
    /output ended without a line like \/never\/[\s\S]*bye/,
  )
})

test('killProcess resolves when the process is gone, and at once when there is none', async () => {
  const child = spawn(process.execPath, ['-e', `setInterval(() => {}, 1000); console.log('up')`])
  await waitForLine(child, /up/)
  const pid = Number(child.pid)
  expect(isAlive(pid)).toBe(true)
  await killProcess(pid)
  expect(isAlive(pid)).toBe(false)
  await killProcess(pid)
})

test('a free port can be bound and lies below the ephemeral range', async () => {
  const port = await freePort()
  expect(port).toBeLessThan(32_768)
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await waitForEvent(server, 'listening')
  server.close()
})
