import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { renewPrepared, sweepPrepared, unusedAfterMs } from './sweep-prepared.js'

const now = Date.now()
const key = (digit: string) => digit.repeat(64)

let parent: string
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'millrace-sweep-'))
})
afterEach(() => rmSync(parent, { recursive: true }))

function prepared(name: string, agoMs: number): string {
  const dir = join(parent, name)
  mkdirSync(join(dir, 'onnx'), { recursive: true })
  writeFileSync(join(dir, 'onnx/model.onnx.data'), 'weights')
  file(join(name, 'prepared.json'), agoMs)
  return dir
}

function file(name: string, agoMs: number): void {
  const path = join(parent, name)
  writeFileSync(path, '{}')
  utimesSync(path, (now - agoMs) / 1000, (now - agoMs) / 1000)
}

it('a key that nobody used for a month goes, with its weights; one used since stays', async () => {
  prepared(key('a'), unusedAfterMs + 1000)
  prepared(key('b'), unusedAfterMs - 1000)
  expect(await sweepPrepared(parent, now)).toEqual([key('a')])
  expect(readdirSync(parent)).toEqual([key('b')])
})

it('a key that a running worker renews stays, however old its files are', async () => {
  const dir = prepared(key('a'), 10 * unusedAfterMs)
  await renewPrepared(dir, now)
  expect(await sweepPrepared(parent, now)).toEqual([])
  expect(existsSync(join(dir, 'onnx/model.onnx.data'))).toBe(true)
})

it('verdicts, locks and half-written folders of long ago go too; new ones stay', async () => {
  const half = `${key('c')}.01234567-89ab-cdef-0123-456789abcdef.tmp`
  for (const name of [`${key('a')}.unfit.json`, `${key('b')}.lock`, half]) file(name, unusedAfterMs + 1000)
  file(`${key('d')}.unfit.json`, 1000)
  expect(await sweepPrepared(parent, now)).toHaveLength(3)
  expect(readdirSync(parent)).toEqual([`${key('d')}.unfit.json`])
})

it('what has another name was put there by somebody else, and stays', async () => {
  for (const name of ['notes.txt', 'my-model', key('a').slice(1), `${key('a')}.bak`]) {
    file(name, 10 * unusedAfterMs)
  }
  expect(await sweepPrepared(parent, now)).toEqual([])
  expect(readdirSync(parent)).toHaveLength(4)
})

it('one sweep removes a bounded number, and the next goes on', async () => {
  const names = Array.from({ length: 20 }, (_, place) => place.toString(16).padStart(64, '0'))
  for (const name of names) prepared(name, unusedAfterMs + 1000)
  const first = await sweepPrepared(parent, now)
  expect(first).toHaveLength(16)
  expect(await sweepPrepared(parent, now)).toHaveLength(4)
  expect(readdirSync(parent)).toEqual([])
})

it('a folder that is not there is no fault', async () => {
  expect(await sweepPrepared(join(parent, 'none'), now)).toEqual([])
})
