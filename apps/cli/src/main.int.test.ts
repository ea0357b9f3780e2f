/** The command as a shell starts it: the built one. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/millrace.js', import.meta.url))
const millrace = (...args: string[]) => spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' })

test('a usage error ends with 2', () => {
  expect(millrace('up', '--nonsense')).toMatchObject({ status: 2, stdout: '' })
})

test('a fleet that is not there ends with 1 and words, not a stack', () => {
  const { status, stdout, stderr } = millrace('status', '--url', 'http://127.0.0.1:9', '--once')
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^✗ .*MILLRACE_URL.*\n$/)
})
