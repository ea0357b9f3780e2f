import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { acquireLock } from './lock-file.js'

let dir: string
const lockFile = () => join(dir, 'up.lock')
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-lock-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** The pid of a process that has ended. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid
}

describe('the lock of a data folder', () => {
  test('is held by one launcher: the second is told the pid of the first', () => {
    const lock = acquireLock(dir)
    expect(() => acquireLock(dir)).toThrow(
      `running already with this data folder (${dir}), as process ${process.pid}`,
    )
    lock.release()
    const next = acquireLock(dir)
    expect(next.tookOver).toBe(false)
    next.release()
  })

  test('leaves nothing in the folder when it is released', () => {
    acquireLock(dir).release()
    expect(readdirSync(dir)).toEqual([])
  })

  test('makes the folder when it is missing', () => {
    const lock = acquireLock(join(dir, 'deep', 'folder'))
    expect(existsSync(join(dir, 'deep', 'folder', 'up.lock'))).toBe(true)
    lock.release()
  })

  test.each([
    ['whose process is gone', () => JSON.stringify({ pid: deadPid(), began: '1' })],
    ['that is not readable', () => 'half a lo'],
    ['with values of other types', () => JSON.stringify({ pid: 'x', began: 3 })],
  ])('%s is stale and taken over', (_name, content) => {
    writeFileSync(lockFile(), content())
    const lock = acquireLock(dir)
    expect(lock.tookOver).toBe(true)
    expect(() => acquireLock(dir)).toThrow('running already')
    lock.release()
    expect(existsSync(lockFile())).toBe(false)
  })

  test.runIf(existsSync('/proc/self/stat'))('whose pid now belongs to another process is stale', () => {
    writeFileSync(lockFile(), JSON.stringify({ pid: process.ppid, began: 'long ago' }))
    const lock = acquireLock(dir)
    expect(lock.tookOver).toBe(true)
    lock.release()
  })

  test('is not removed by a launcher that lost it', () => {
    const lock = acquireLock(dir)
    const other = JSON.stringify({ pid: process.ppid, began: null })
    writeFileSync(lockFile(), other)
    lock.release()
    expect(existsSync(lockFile())).toBe(true)
  })

  test('says which setting moves a folder that cannot be written', () => {
    writeFileSync(join(dir, 'file'), '')
    expect(() => acquireLock(join(dir, 'file', 'under'))).toThrow('setting: MILLRACE_DATA_DIR')
  })
})
