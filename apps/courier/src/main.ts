/** The courier's process: signals and the exit code, nothing else. */
import { ConfigError, loadConfig } from '@millrace/config'
import { startCourier } from './start-courier.js'

/** sysexits.h: the configuration is at fault, starting again will not help. */
const exitConfig = 78

async function main(): Promise<number> {
  const stop = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(signal, () => resolve())
  })
  const courier = await startCourier(loadConfig())
  process.send?.({ type: 'listening', url: courier.url })
  await stop
  await courier.close()
  return 0
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(error instanceof ConfigError ? exitConfig : 1)
  },
)
