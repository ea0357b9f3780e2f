/** What the commands about tenants share: the store of the configured fleet, a person's terminal, the exit codes. */
import { ConfigError, loadConfig } from '@millrace/config'
import { MillraceError } from '@millrace/contracts'
import { TenantStore, tenantNameSchema } from '@millrace/tenants'
import { Command, InvalidArgumentError } from 'commander'
import { LaunchError } from '../launch-error.js'
import { addressOf } from '../redis-reply.js'

/** Exit codes: 0 it was done, 1 it could not be done, 2 it was asked for in a wrong way. */
const faultExit = 1
const usageExit = 2

/** The world outside of a command; tests give another. */
export interface Terminal {
  /** @throws ConfigError */
  settings(): { readonly QUEUE_REDIS_URL: string }
  now(): number
  /** What was asked for: fit to be piped on. */
  out(text: string): void
  /** Words for a person. */
  err(text: string): void
  exit(code: number): never
}

export const processTerminal: Terminal = {
  settings: () => loadConfig(),
  now: Date.now,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  exit: (code) => process.exit(code),
}

/** A command with subcommands: its faults of usage end with 2, where commander's own end with 1. */
export function commandGroup(name: string, description: string, terminal: Terminal): Command {
  return new Command(name)
    .description(description)
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err })
    .showHelpAfterError('(add --help for the options)')
    .exitOverride((error) => terminal.exit(error.exitCode === 0 ? 0 : usageExit))
}

export function tenantName(text: string): string {
  const parsed = tenantNameSchema.safeParse(text)
  if (parsed.success) return parsed.data
  throw new InvalidArgumentError(`It ${parsed.error.issues[0]?.message}.`)
}

/** Opens the store, works with it, closes it; a fault ends the process with its exit code. */
export async function withTenants(
  terminal: Terminal,
  work: (tenants: TenantStore) => Promise<void>,
): Promise<void> {
  try {
    const url = terminal.settings().QUEUE_REDIS_URL
    const tenants = await TenantStore.connect({ url, role: 'cli', now: terminal.now })
    try {
      await work(tenants)
    } catch (error) {
      throw isAway(error) ? new LaunchError(awayText(url), { cause: error }) : error
    } finally {
      await tenants.close()
    }
  } catch (error) {
    terminal.err(`✗ ${faultText(error)}\n`)
    terminal.exit(error instanceof MillraceError && error.code === 'invalid_request' ? usageExit : faultExit)
  }
}

function isAway(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'queue_unavailable'
}

function awayText(url: string): string {
  return `The queue Redis at ${addressOf(url).name} cannot be reached. Is the fleet up, and QUEUE_REDIS_URL right?`
}

function faultText(error: unknown): string {
  const isForPeople =
    error instanceof MillraceError || error instanceof ConfigError || error instanceof LaunchError
  if (isForPeople) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
