/** The gateway's process: its heap, signals and the exit code, nothing else. */
import { setFlagsFromString } from 'node:v8'
import { ConfigError, loadConfig } from '@millrace/config'
import { startGateway } from './start-gateway.js'

/** sysexits.h: the configuration is at fault, starting again will not help. */
const exitConfig = 78

// All of the heap is collected when it has doubled. V8 by itself would let it grow by a tenth, as little of what a gateway
// makes lives for long, and counts each answer's bytes: with large answers that is every two seconds.
setFlagsFromString('--heap-growing-percent=100')

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
