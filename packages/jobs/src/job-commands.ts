/** The record scripts as typed commands of an ioredis client. One atomic operation per file; see scripts/. */
import { readFileSync } from 'node:fs'
import type { Redis, Result } from 'ioredis'

type Bytes = string | Buffer | number

declare module 'ioredis' {
  // The names are ioredis's: a command defined from a script.
  interface RedisCommander<Context> {
    mrCreateJobs(keys: number, ...keysAndArgs: Bytes[]): Result<number[], Context>
    mrTakeChunks(keys: number, ...keysAndArgs: Bytes[]): Result<string[][], Context>
    mrStoreChunks(keys: number, ...keysAndArgs: Bytes[]): Result<ScriptOutcome[], Context>
    mrAppendOutput(record: string, events: string, ...args: Bytes[]): Result<number, Context>
    mrSettleJob(...keysAndArgs: Bytes[]): Result<ScriptOutcome, Context>
    mrRetryJob(...keysAndArgs: Bytes[]): Result<[string, string[]?, ...number[]], Context>
    mrIndexJobs(...keysAndArgs: Bytes[]): Result<number, Context>
    mrTakeWatched(watched: string, ...args: Bytes[]): Result<string[], Context>
    mrForgetWatched(watched: string, ...args: Bytes[]): Result<number, Context>
    mrRememberKnown(second: string, ...args: Bytes[]): Result<number, Context>
    mrOldestChunk(wait: string, prioritized: string, prefix: string): Result<string | null, Context>
    mrAnnounceWorker(workers: string, models: string, ...args: Bytes[]): Result<number, Context>
  }
}

/** What store-chunks answers of each chunk, and settle-job: an outcome and, when they settled the job, its record as a flat list. */
export type ScriptOutcome = [outcome: string, record?: string[]]

// Relative to this file, both where it is written and where it is built: scripts are not copied.
const script = (name: string) => readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8')

export function defineJobCommands(redis: Redis): void {
  redis.defineCommand('mrCreateJobs', { lua: script('create-jobs') })
  redis.defineCommand('mrTakeChunks', { lua: script('take-chunks') })
  redis.defineCommand('mrStoreChunks', { lua: script('store-chunks') })
  redis.defineCommand('mrAppendOutput', { numberOfKeys: 2, lua: script('append-output') })
  redis.defineCommand('mrSettleJob', { numberOfKeys: 5, lua: script('settle-job') })
  redis.defineCommand('mrRetryJob', { numberOfKeys: 5, lua: script('retry-job') })
  redis.defineCommand('mrIndexJobs', { numberOfKeys: 2, lua: script('index-jobs') })
  redis.defineCommand('mrTakeWatched', { numberOfKeys: 1, lua: script('take-watched') })
  redis.defineCommand('mrForgetWatched', { numberOfKeys: 1, lua: script('forget-watched') })
  redis.defineCommand('mrRememberKnown', { numberOfKeys: 1, lua: script('remember-known') })
  redis.defineCommand('mrOldestChunk', { numberOfKeys: 2, lua: script('oldest-chunk') })
  redis.defineCommand('mrAnnounceWorker', { numberOfKeys: 2, lua: script('announce-worker') })
}
