/** `millrace webhook-secrets`: what a tenant's webhooks are signed with. One per line, the newest first. */
import type { Command } from 'commander'
import { commandGroup, processTerminal, type Terminal, tenantName, withTenants } from './with-tenants.js'

const examples = `
To change a secret without losing a webhook: rotate, give the new secret to the receiver, then drop the old one. Until
then each webhook is signed with all of them.

Examples:
  $ millrace webhook-secrets show --tenant acme
  $ millrace webhook-secrets rotate --tenant acme
  $ millrace webhook-secrets drop-old --tenant acme`

export function webhookSecretsCommand(terminal: Terminal = processTerminal): Command {
  const group = commandGroup('webhook-secrets', 'Show and change what webhooks are signed with', terminal)
  group.addHelpText('after', examples)
  const subcommand = (name: string, description: string, action: (tenant: string) => Promise<void>) =>
    group
      .command(name)
      .description(description)
      .requiredOption('--tenant <name>', 'whose webhooks', tenantName)
      .action((options: { tenant: string }) => action(options.tenant))

  subcommand('show', 'Print the secrets; makes the first one where there is none', (tenant) =>
    withTenants(terminal, async (tenants) => print(terminal, await tenants.webhookSecrets(tenant))),
  )
  subcommand('rotate', 'Add a new secret in front, and print all; the newest 3 are kept', (tenant) =>
    withTenants(terminal, async (tenants) => print(terminal, await tenants.rotateWebhookSecret(tenant))),
  )
  subcommand('drop-old', 'End all secrets but the newest', (tenant) =>
    withTenants(terminal, async (tenants) => {
      const dropped = await tenants.dropOldWebhookSecrets(tenant)
      terminal.err(`${dropped} old secret(s) dropped.\n`)
    }),
  )
  return group
}

function print(terminal: Terminal, secrets: readonly string[]): void {
  terminal.out(secrets.map((secret) => `${secret}\n`).join(''))
}
