/**
 * How much CPU this process may use, by its control group (cgroup v1 and v2). Never by the host's cores: a container with
 * two of 64 cores that starts 64 threads spends its quota on waiting.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * The smallest quota from this process' group upwards, in cores; undefined where none is set or nothing can be read.
 * Sources: cgroup-v2.rst (`cpu.max`: "quota period" or "max period", in µs), sched-bwc.rst (`cpu.cfs_*_us`, -1: none).
 * @param root where the files are looked for, for tests
 */
export function cpuQuota(root = '/'): number | undefined {
  const groups = read(root, 'proc/self/cgroup') ?? ''
  const quotas = groups.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) return []
    if (controllers === '') return upwards(path).map((group) => quotaOfV2(root, group))
    if (!controllers.split(',').includes('cpu')) return []
    return upwards(path).map((group) => quotaOfV1(root, controllers, group))
  })
  const set = quotas.filter((quota) => quota !== undefined)
  return set.length === 0 ? undefined : Math.min(...set)
}

/** @param setting MODEL_THREADS  @param processes model processes on the CPU that this worker runs */
export function threadsFor(setting: number | 'auto', processes: number): number {
  return setting === 'auto' ? threadsWithin(cpuQuota(), processes) : setting
}

/**
 * Threads for each of `processes` model processes. A quota's fractions are rounded down, and nobody gets less than one;
 * without a quota it is one, for nothing says how many other workers share the host.
 */
export function threadsWithin(quota: number | undefined, processes: number): number {
  return Math.max(1, Math.floor((quota ?? 1) / processes))
}

/** The group and all above it: each may set a limit. In a container the path may name what is not mounted there. */
function upwards(path: string): string[] {
  return path === '/' ? ['/'] : [path, ...upwards(dirname(path))]
}

function quotaOfV2(root: string, group: string): number | undefined {
  const [quota, period] = (read(root, join('sys/fs/cgroup', group, 'cpu.max')) ?? '').trim().split(' ')
  return ratio(Number(quota), Number(period))
}

function quotaOfV1(root: string, controllers: string, group: string): number | undefined {
  // Mounted under the names of the controllers together, with a link for each.
  const folder = [controllers, 'cpu']
    .map((name) => join('sys/fs/cgroup', name, group))
    .find((one) => read(root, join(one, 'cpu.cfs_quota_us')) !== undefined)
  if (folder === undefined) return undefined
  return ratio(
    Number(read(root, join(folder, 'cpu.cfs_quota_us'))),
    Number(read(root, join(folder, 'cpu.cfs_period_us'))),
  )
}

/** undefined for `max`, -1 and what is no number. */
function ratio(quota: number, period: number): number | undefined {
  return quota > 0 && period > 0 ? quota / period : undefined
}

function read(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return undefined
  }
}
