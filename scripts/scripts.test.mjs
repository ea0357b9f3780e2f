import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { countsLine, countTests } from './count-tests.mjs'
import { installReason } from './install-packages.mjs'
import { advice, installer, isNewEnough, redisVersion } from './install-redis.mjs'
import { nodeFault, supportedNodes } from './node-version.mjs'

describe('the Node check', () => {
  test.each(['20.19.0', '20.20.2', '22.12.0', '24.0.0', '25.1.0'])('takes Node %s', (version) => {
    expect(nodeFault(version)).toBeUndefined()
  })

  test.each(['16.20.2', '18.20.0', '20.18.3', '21.7.0', '22.11.0', '23.9.0'])(
    'refuses Node %s',
    (version) => {
      expect(nodeFault(version)).toContain(`this is Node ${version}`)
    },
  )

  test('says what package.json says', () => {
    const root = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    expect(root.engines.node).toBe(supportedNodes)
  })
})

describe('the way to install Redis', () => {
  const machine = (platform, isRoot, ...commands) => ({
    platform,
    isRoot,
    has: async (command) => commands.includes(command),
  })

  test('is apt-get for root', async () => {
    const way = await installer(machine('linux', true, 'apt-get'))
    expect(way.install.join(' ')).toBe(
      'env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends redis-server',
    )
  })

  test('is apt-get through sudo for others, when sudo asks for no password', async () => {
    const way = await installer(machine('linux', false, 'apt-get', 'sudo'))
    expect(way.install.slice(0, 3)).toEqual(['sudo', '-n', 'env'])
  })

  test('is brew on a Mac, and never sudo', async () => {
    expect((await installer(machine('darwin', false, 'brew', 'sudo'))).install[0]).toBe('brew')
  })

  test.each([
    ['a user without sudo', machine('linux', false, 'apt-get')],
    ['a machine without apt-get', machine('linux', true, 'dnf')],
    ['a Mac without brew', machine('darwin', false, 'apt-get', 'sudo')],
  ])('is none for %s: then it is asked for in words', async (_who, given) => {
    expect(await installer(given)).toBeUndefined()
    expect(advice(given.platform)).toContain('QUEUE_REDIS_URL')
  })

  test('reads the version, and wants 6.2 or later', () => {
    expect(redisVersion('Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64')).toBe('7.0.15')
    expect(['5.0.7', '6.0.16', '6.2.0', '7.0.15', '10.0.0'].map(isNewEnough)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
  })
})

describe('npm ci', () => {
  let root
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'millrace-install-'))
    mkdirSync(join(root, 'node_modules'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))
  const write = (file, packages) => writeFileSync(join(root, file), JSON.stringify({ packages }))
  const lock = (packages) => write('package-lock.json', packages)
  const installed = (packages) => write('node_modules/.package-lock.json', packages)

  test('is not due when every package is there in its version', () => {
    lock({
      '': { version: '2' },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/@m/b': { link: true },
    })
    installed({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/@m/b': { link: true } })
    expect(installReason(root)).toBeUndefined()
  })

  test('is not due for an optional package of another platform', () => {
    lock({ 'node_modules/a-darwin': { version: '1.0.0', optional: true } })
    installed({})
    expect(installReason(root)).toBeUndefined()
  })

  test('is due when nothing is installed, or an installation was cut short', () => {
    lock({})
    expect(installReason(root)).toBe('no packages are installed')
  })

  test.each([
    ['a package has another version', { 'node_modules/a': { version: '2.0.0' } }],
    ['a package is missing', { 'node_modules/b': { version: '1.0.0' } }],
    ['a workspace is not linked', { 'node_modules/@m/b': { link: true } }],
  ])('is due when %s', (_why, wanted) => {
    lock(wanted)
    installed({ 'node_modules/a': { version: '1.0.0' } })
    expect(installReason(root)).toMatch(/is not installed|has another version/)
  })
})

describe('the counts line', () => {
  const file = (status, ...outcomes) => ({
    status,
    assertionResults: outcomes.map((outcome) => ({ status: outcome })),
  })

  test('names skipped tests only where there are any', () => {
    expect(countsLine({ passed: 2, failed: 0, skipped: 0 })).toBe('2 passed, 0 failed')
    expect(countsLine({ passed: 2, failed: 1, skipped: 3 })).toBe('2 passed, 1 failed, 3 skipped')
  })

  test('counts tests, and a file that could not be loaded as one failure', () => {
    const report = { testResults: [file('failed', 'passed', 'failed', 'pending', 'todo'), file('failed')] }
    expect(countTests(report, 1)).toEqual({ passed: 1, failed: 2, skipped: 2 })
  })

  test.each([
    ['vitest wrote no report', undefined],
    ['no test failed but vitest did', { testResults: [file('passed', 'passed')] }],
  ])('says at least one failure when %s', (_when, report) => {
    expect(countTests(report, 1).failed).toBe(1)
  })
})
