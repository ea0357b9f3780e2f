/** Who shares results with whom: part of every content key. */
import type { Config } from '@millrace/config'

export function cacheScope({ CACHE_SCOPE }: Pick<Config, 'CACHE_SCOPE'>, tenant: string): string {
  return CACHE_SCOPE === 'shared' ? 'shared' : `tenant:${tenant}`
}
