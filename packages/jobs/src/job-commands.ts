/** The record scripts as typed commands of an ioredis client. One atomic operation per file; see scripts/. */
import { readFileSync } from 'node:fs'
import type { Redis, Result } from 'ioredis'

type Bytes = string | Buffer | number

declare module 'ioredis' {
  // The names are ioredis's: a command defined from a script.
  interface RedisCommander<Context> {
    mrCreateJob(record: string, inputs: string, outputs: string, ...args: Bytes[]): Result<number, Context>
    mrTakeChunk(record: string, inputs: string, ...args: Bytes[]): Result<string[], Context>
    mrStoreChunk(
      record: string,
      inputs: string,
      outputs: string,
      ...args: Bytes[]
    ): Result<ScriptOutcome, Context>
    mrSettleJob(
      record: string,
      inputs: string,
      outputs: string,
      ...args: Bytes[]
    ): Result<ScriptOutcome, Context>
    mrRememberKnown(second: string, ...args: Bytes[]): Result<number, Context>
    mrAnnounceWorker(workers: string, models: string, ...args: Bytes[]): Result<number, Context>
  }
}

/** What store-chunk and settle-job answer: an outcome and, when they settled the job, its record as a flat list. */
export type ScriptOutcome = [outcome: string, record?: string[]]

// Relative to this file, both where it is written and where it is built: scripts are not copied.
const script = (name: string) => readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8')

export function defineJobCommands(redis: Redis): void {
  redis.defineCommand('mrCreateJob', { numberOfKeys: 3, lua: script('create-job') })
  redis.defineCommand('mrTakeChunk', { numberOfKeys: 2, lua: script('take-chunk') })
  redis.defineCommand('mrStoreChunk', { numberOfKeys: 3, lua: script('store-chunk') })
  redis.defineCommand('mrSettleJob', { numberOfKeys: 3, lua: script('settle-job') })
  redis.defineCommand('mrRememberKnown', { numberOfKeys: 1, lua: script('remember-known') })
  redis.defineCommand('mrAnnounceWorker', { numberOfKeys: 2, lua: script('announce-worker') })
}
