/** The gateway's process: signals and the exit code, nothing else. */
import { ConfigError, loadConfig } from '@millrace/config'
import { startGateway } from './start-gateway.js'

/** sysexits.h: the configuration is at fault, starting again will not help. */
const exitConfig = 78

async function main(): Promise<void> {
  const stop = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(signal, () => resolve())
  })
  const gateway = await startGateway(loadConfig())
  process.send?.({ type: 'listening', url: gateway.url })
  await stop
  await gateway.close()
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(error instanceof ConfigError ? exitConfig : 1)
  },
)
