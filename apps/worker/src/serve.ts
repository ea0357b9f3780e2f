/** The worker's process: signals and the exit code, nothing else. Loaded by main.ts. */
import { ConfigError, loadConfig } from '@millrace/config'
import { ModelDigestError } from '@millrace/model'
import { startWorker } from './start-worker.js'

/** sysexits.h: the configuration is at fault, or what it names is not there: starting again will not help. */
const exitConfig = 78

async function main(): Promise<number> {
  const stop = new Promise<'stop'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const)
      process.once(signal, () => resolve('stop'))
  })
  const worker = await startWorker(loadConfig())
  process.send?.({ type: 'listening', url: worker.url })
  const end = await Promise.race([stop, worker.lost])
  await worker.close()
  return end === 'stop' ? 0 : 1
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    const lasting = error instanceof ConfigError || error instanceof ModelDigestError
    process.exit(lasting ? exitConfig : 1)
  },
)
