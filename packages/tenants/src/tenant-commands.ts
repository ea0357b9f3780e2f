/** Our scripts, and as typed commands of an ioredis client. One atomic operation per file; see scripts/. */
import { readFileSync } from 'node:fs'
import type { Redis, Result } from 'ioredis'

declare module 'ioredis' {
  // The names are ioredis's: a command defined from a script.
  interface RedisCommander<Context> {
    mrWebhookSecrets(secrets: string, offered: string): Result<string[], Context>
    mrRotateWebhookSecret(secrets: string, added: string, kept: number): Result<string[], Context>
  }
}

// Relative to this file, both where it is written and where it is built: scripts are not copied.
const script = (name: string) => readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8')

export const takeTokensScript = script('take-tokens')

export function defineTenantCommands(redis: Redis): void {
  redis.defineCommand('mrWebhookSecrets', { numberOfKeys: 1, lua: script('webhook-secrets') })
  redis.defineCommand('mrRotateWebhookSecret', { numberOfKeys: 1, lua: script('rotate-webhook-secret') })
}
