import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cpuQuota, threadsFor, threadsWithin } from './cpu-quota.js'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-cgroup-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function quotaOf(files: Record<string, string>): number | undefined {
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${text}\n`)
  }
  return cpuQuota(root)
}

describe('the CPU quota', () => {
  it('of a container with its own group (v2) is quota over period', () => {
    expect(quotaOf({ 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': '250000 100000' })).toBe(2.5)
  })

  it('is the smallest from the own group upwards', () => {
    const files = {
      'proc/self/cgroup': '0::/pod/app',
      'sys/fs/cgroup/pod/app/cpu.max': 'max 100000',
      'sys/fs/cgroup/pod/cpu.max': '150000 50000',
      'sys/fs/cgroup/cpu.max': '800000 100000',
    }
    expect(quotaOf(files)).toBe(3)
  })

  it('of v1 is found under whatever name the controller is mounted, and -1 is none', () => {
    const files = {
      'proc/self/cgroup': '5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n',
      // As a container sees it: its own group is the root of the mount.
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '400000',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
    }
    expect(quotaOf(files)).toBe(4)
    expect(quotaOf({ 'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1' })).toBeUndefined()
  })

  it('of v1 may lie under `cpu` alone', () => {
    const files = {
      'proc/self/cgroup': '4:cpuacct,cpu:/',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
    }
    expect(quotaOf(files)).toBe(0.5)
  })

  it.each<[string, Record<string, string>]>([
    ['no group at all', {}],
    ['no limit', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'max 100000' }],
    ['a file that makes no sense', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'lots' }],
    [
      'a limit of another controller',
      { 'proc/self/cgroup': '3:cpuset:/', 'sys/fs/cgroup/cpuset/cpu.max': '1 1' },
    ],
  ])('is none with %s', (_name, files) => {
    expect(quotaOf(files)).toBeUndefined()
  })
})

describe('threads', () => {
  it.each([
    { quota: 8, processes: 2, threads: 4 },
    { quota: 7.9, processes: 2, threads: 3 },
    { quota: 2, processes: 4, threads: 1 },
    { quota: 0.5, processes: 1, threads: 1 },
    { quota: undefined, processes: 1, threads: 1 },
  ])(
    'of $processes process(es) under a quota of $quota are $threads each',
    ({ quota, processes, threads }) => {
      expect(threadsWithin(quota, processes)).toBe(threads)
    },
  )

  it('are as many as were set, whatever the quota', () => {
    expect(threadsFor(3, 8)).toBe(3)
  })
})
