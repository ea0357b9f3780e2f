/** What an instance must be set to for its role, said aloud where it is not. */
import type { Redis } from 'ioredis'
import type { RedisRole } from './connection.js'

const minimumVersion = [6, 2] as const

/** Answers one sentence per fault; empty when all is well. Settings that a managed Redis hides are not faults. */
export async function settingFaults(redis: Redis, role: RedisRole): Promise<string[]> {
  const info = parseInfo(await redis.info())
  const faults: string[] = []
  const name = `${role} Redis`
  const [major = 0, minor = 0] = (info.get('redis_version') ?? '0.0').split('.').map(Number)
  if (major < minimumVersion[0] || (major === minimumVersion[0] && minor < minimumVersion[1])) {
    faults.push(`${name}: version ${info.get('redis_version')} is older than ${minimumVersion.join('.')}`)
  }
  const policy = info.get('maxmemory_policy') ?? 'unknown'
  const maxmemory = Number(info.get('maxmemory') ?? 0)
  if (role === 'queue') {
    if (policy !== 'noeviction')
      faults.push(`${name}: maxmemory-policy is ${policy}; jobs can be evicted, set noeviction`)
    if (info.get('aof_enabled') === '0')
      faults.push(`${name}: appendonly is off; a restart loses accepted jobs`)
    if (maxmemory === 0)
      faults.push(`${name}: maxmemory is not set; admission cannot tell when it is nearly full`)
  } else {
    if (!policy.startsWith('allkeys-')) faults.push(`${name}: maxmemory-policy is ${policy}; set allkeys-lfu`)
    if (maxmemory === 0) faults.push(`${name}: maxmemory is not set; the cache grows without bound`)
  }
  return faults
}

/** Bytes in use and the limit; a limit of 0 means none is set. */
export async function memoryUse(redis: Redis): Promise<{ used: number; max: number }> {
  const info = parseInfo(await redis.info('memory'))
  return { used: Number(info.get('used_memory') ?? 0), max: Number(info.get('maxmemory') ?? 0) }
}

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  return fields
}
