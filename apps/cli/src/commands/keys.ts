/** `millrace keys`: makes, lists and revokes the API keys of tenants. What a key is, is @millrace/tenants' matter. */
import { type KeyInfo, keyState, type Scope, scopes } from '@millrace/tenants'
import { type Command, InvalidArgumentError } from 'commander'
import { LaunchError } from '../launch-error.js'
import { commandGroup, processTerminal, type Terminal, tenantName, withTenants } from './with-tenants.js'

interface CreateOptions {
  tenant: string
  name: string
  scope?: Scope[]
  tokensPerMinute?: number
  expiresIn?: number
  json?: boolean
}

interface ListOptions {
  tenant?: string
  json?: boolean
}

const examples = `
A key belongs to one tenant. As soon as the first key is made, every request needs one; see docs/keys.md.

Examples:
  $ millrace keys create --tenant acme
  $ KEY=$(millrace keys create --tenant acme --name ci --scope submit --tokens-per-minute 100000 --expires-in 30d)
  $ millrace keys list --tenant acme
  $ millrace keys revoke 9f2c4e1ab07d3865`

export function keysCommand(terminal: Terminal = processTerminal): Command {
  const keys = commandGroup('keys', 'Make, list and revoke API keys', terminal).addHelpText('after', examples)
  keys
    .command('create')
    .description('Make a key and print it: the only time that it is shown')
    .requiredOption('--tenant <name>', 'whose key it is', tenantName)
    .option('--name <text>', 'what it is for, shown in lists', 'unnamed')
    .option(
      '--scope <scope>',
      `what it may do: ${scopes.join(', ')}; give it again for more (default: submit and read)`,
      addScope,
    )
    .option(
      '--tokens-per-minute <n>',
      'input tokens its tenant may send a minute (default: no limit)',
      tokens,
    )
    .option('--expires-in <time>', 'when it ends: 90m, 12h, 30d, 52w (default: never)', duration)
    .option('--json', 'print the key and all about it as JSON')
    .addHelpText('after', examples)
    .action((options: CreateOptions) => create(options, terminal))
  keys
    .command('list')
    .description('Show the keys, oldest first, with the ended ones')
    .option('--tenant <name>', 'only the keys of this tenant', tenantName)
    .option('--json', 'print a JSON array')
    .action((options: ListOptions) => list(options, terminal))
  keys
    .command('revoke')
    .description('End a key for good; every gateway refuses it within 10 seconds')
    .argument('<id>', 'its id, from `keys list`')
    .action((id: string) => revoke(id, terminal))
  return keys
}

function create(options: CreateOptions, terminal: Terminal): Promise<void> {
  return withTenants(terminal, async (tenants) => {
    const { key, info } = await tenants.create({
      tenant: options.tenant,
      name: options.name,
      scopes: options.scope ?? ['submit', 'read'],
      ...(options.tokensPerMinute === undefined ? {} : { tokensPerMinute: options.tokensPerMinute }),
      ...(options.expiresIn === undefined ? {} : { expiresAtMs: terminal.now() + options.expiresIn }),
    })
    if (options.json) {
      terminal.out(`${JSON.stringify({ key, ...view(info, terminal.now()) }, null, 2)}\n`)
      return
    }
    terminal.err(`Key ${info.id} of tenant ${info.tenant} (${info.scopes.join(', ')}):\n`)
    terminal.out(`${key}\n`)
    terminal.err('Keep it now: only its hash is stored, so it will not be shown again.\n')
  })
}

function list(options: ListOptions, terminal: Terminal): Promise<void> {
  return withTenants(terminal, async (tenants) => {
    const keys = (await tenants.list(options.tenant)).map((key) => view(key, terminal.now()))
    if (options.json) {
      terminal.out(`${JSON.stringify(keys, null, 2)}\n`)
      return
    }
    if (keys.length === 0) {
      terminal.err(options.tenant === undefined ? 'There are no keys.\n' : 'This tenant has no keys.\n')
      return
    }
    const head = ['ID', 'TENANT', 'NAME', 'SCOPES', 'TOKENS/MIN', 'CREATED', 'EXPIRES', 'STATE']
    const rows = keys.map((key) => [
      key.id,
      key.tenant,
      key.name,
      key.scopes.join(','),
      String(key.tokens_per_minute ?? '-'),
      key.created_at.slice(0, 10),
      key.expires_at?.slice(0, 10) ?? '-',
      key.state,
    ])
    terminal.out(table([head, ...rows]))
  })
}

function revoke(id: string, terminal: Terminal): Promise<void> {
  return withTenants(terminal, async (tenants) => {
    const key = await tenants.revoke(id)
    if (!key) throw new LaunchError(`There is no key '${id}': \`millrace keys list\` shows the ids.`)
    terminal.err(`Key ${key.id} of tenant ${key.tenant} is revoked; gateways refuse it within 10 seconds.\n`)
    const left = (await tenants.list()).some((other) => keyState(other, terminal.now()) === 'active')
    if (!left) terminal.err('No key is left that works: every request is refused until one is made.\n')
  })
}

/** As JSON shows it: names and times as on the wire. */
function view(key: KeyInfo, nowMs: number) {
  return {
    id: key.id,
    tenant: key.tenant,
    name: key.name,
    scopes: key.scopes,
    tokens_per_minute: key.tokensPerMinute,
    created_at: new Date(key.createdAtMs).toISOString(),
    expires_at: isoOrNull(key.expiresAtMs),
    revoked_at: isoOrNull(key.revokedAtMs),
    state: keyState(key, nowMs),
  }
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

function addScope(text: string, before: Scope[] = []): Scope[] {
  const scope = scopes.find((known) => known === text)
  if (!scope) throw new InvalidArgumentError(`It must be one of ${scopes.join(', ')}.`)
  return [...before, scope]
}

function tokens(text: string): number {
  if (!/^[1-9]\d{0,11}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.')
  return Number(text)
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 }

/** @returns milliseconds */
function duration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,4})([mhdw])$/.exec(text) ?? []
  if (unit === 'm' || unit === 'h' || unit === 'd' || unit === 'w') return Number(count) * unitMs[unit]
  throw new InvalidArgumentError('It must be a whole number and m, h, d or w, such as 30d.')
}
