/** In a process of its own: what is set here lasts as long as the process. Runs the built file. */
import { execFileSync } from 'node:child_process'
import { expect, it, vi } from 'vitest'

// Processes are started here: a busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 })

const file = new URL('../dist/small-heap.js', import.meta.url).href

/** Makes a million short-lived objects, some of them kept for a while. Prints bytes of the young generation. */
const churn = `
  const kept = []
  for (let round = 0; round < 60; round++) {
    kept.push(Array.from({ length: 20_000 }, (_, i) => ({ i, pair: [i, i + 1] })).slice(0, 100))
    if (kept.length > 50) kept.shift()
  }
  const spaces = process.getBuiltinModule('node:v8').getHeapSpaceStatistics()
  console.log(spaces.find((space) => space.space_name === 'new_space').physical_space_size)`

const young = (...options: string[]) =>
  Number(execFileSync(process.execPath, [...options, '--eval', churn], { encoding: 'utf8', env: {} }))

it('the young generation stays small, however much is made and thrown away', () => {
  expect(young()).toBeGreaterThan(12 << 20)
  expect(young('--import', file)).toBeLessThan(4 << 20)
})

it('and up to what its launcher says', () => {
  const bytes = young('--max-semi-space-size=2', '--import', file)
  expect(bytes).toBeGreaterThan(2 << 20)
  expect(bytes).toBeLessThanOrEqual(4 << 20)
})
