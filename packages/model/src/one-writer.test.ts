import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { oneWriter } from './one-writer.js'

let folder: string
let lock: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-one-writer-'))
  lock = join(folder, 'work.lock')
})
afterEach(() => rmSync(folder, { recursive: true }))

it('of many who want the work done one does it, and the others see it done', async () => {
  let works = 0
  let finished = false
  const options = {
    done: async () => finished,
    work: async () => {
      works++
      await new Promise(setImmediate)
      finished = true
    },
    waitMs: 10_000,
    pollMs: 1,
  }
  await Promise.all(Array.from({ length: 8 }, () => oneWriter(lock, options)))
  expect(works).toBe(1)
  expect(existsSync(lock)).toBe(false)
})

it('work that fails gives the lock back', async () => {
  const work = async () => {
    throw new Error('disk full')
  }
  await expect(oneWriter(lock, { done: async () => false, work, waitMs: 0 })).rejects.toThrow('disk full')
  expect(existsSync(lock)).toBe(false)
})

it('a lock that another keeps is waited for within bounds, and left alone', async () => {
  writeFileSync(lock, '')
  const work = () => Promise.reject(new Error('must not run'))
  const waiting = oneWriter(lock, { done: async () => false, work, waitMs: 20, pollMs: 1 })
  await expect(waiting).rejects.toThrow(/Another process holds/)
  expect(existsSync(lock)).toBe(true)
})

it('the lock of a process that died is taken over', async () => {
  writeFileSync(lock, '')
  utimesSync(lock, 1, 1)
  let worked = false
  const work = async () => {
    worked = true
  }
  await oneWriter(lock, { done: async () => worked, work, waitMs: 10_000, pollMs: 1 })
  expect(worked).toBe(true)
})
