/** The claim scripts as typed commands of an ioredis client. One script, one file; see scripts/. */
import { readFileSync } from 'node:fs'
import type { Redis, Result } from 'ioredis'

declare module 'ioredis' {
  // The names are ioredis's: a command defined from a script, and its form that answers with bytes.
  interface RedisCommander<Context> {
    /** @param rest result and claim of each item, owner, lease in ms */
    mrGetOrClaimBuffer(keys: number, ...rest: (string | number)[]): Result<(Buffer | number)[], Context>
    /** @param rest result keys, claim keys, owner, life in ms, a value for each result key */
    mrStoreResults(keys: number, ...rest: (string | number | Buffer)[]): Result<number, Context>
    mrGetOrAskBuffer(
      result: string,
      claim: string,
      owner: string,
      leaseMs: number,
      channel: string,
      message: string,
    ): Result<Buffer | number, Context>
    mrRenewClaim(claim: string, owner: string, leaseMs: number): Result<number, Context>
  }
}

// Relative to this file, both where it is written and where it is built: scripts are not copied.
const script = (name: string) => readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8')

export function defineClaimCommands(redis: Redis): void {
  redis.defineCommand('mrGetOrClaim', { lua: script('get-or-claim') })
  redis.defineCommand('mrStoreResults', { lua: script('store-results') })
  redis.defineCommand('mrGetOrAsk', { numberOfKeys: 2, lua: script('get-or-ask') })
  redis.defineCommand('mrRenewClaim', { numberOfKeys: 1, lua: script('renew-claim') })
}
