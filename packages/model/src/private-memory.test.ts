import { expect, it } from 'vitest'
import { parsePrivateBytes, privateBytes } from './private-memory.js'

it('pages of a file that another process may still map are not counted as private', () => {
  const rollup = 'Rss:  900 kB\nShared_Clean:  500 kB\nPrivate_Clean:   100 kB\nPrivate_Dirty:   300 kB\n'
  expect(parsePrivateBytes(rollup)).toBe(300 * 1024)
})

it('a file that does not say it is no zero', () => {
  expect(parsePrivateBytes('Rss:  900 kB\n')).toBeNull()
})

it.runIf(process.platform === 'linux')('Linux tells it of this process', async () => {
  expect(await privateBytes()).toBeGreaterThan(1e6)
})
