/** `--url` and `--key`: where a command finds the fleet, and how it says who it is. */
import { Millrace, type OnRetry } from '@millrace/client'
import { type Command, Option } from 'commander'
import { CommandFailure, exitCode } from './exit-code.js'

export interface ConnectionOptions {
  readonly url: string
  readonly key?: string
}

export function withConnection(command: Command): Command {
  return command
    .addOption(
      new Option('--url <url>', 'where the gateway is').env('MILLRACE_URL').default('http://127.0.0.1:8080'),
    )
    .addOption(
      new Option('--key <key>', 'API key; better given in the environment, where ps does not show it').env(
        'MILLRACE_KEY',
      ),
    )
}

/** @param retryForS how long a fault that may pass is worth new tries */
export function clientOf(
  { url, key }: ConnectionOptions,
  retryForS = 30,
  onRetry: OnRetry = () => {},
): Millrace {
  try {
    return new Millrace({
      baseUrl: url,
      apiKey: key === '' ? undefined : key,
      retryForMs: retryForS * 1000,
      onRetry,
    })
  } catch (error) {
    const words = error instanceof TypeError ? error.message : String(error)
    throw new CommandFailure(`--url or --key: ${words}`, exitCode.usage, { cause: error })
  }
}
