/** The main module of a worker that differs from the real one in its batcher alone. */
import '@millrace/worker/small-heap'
import { loadConfig } from '@millrace/config'
import { startWorker } from '@millrace/worker'
import { ArrivalOrder } from './arrival-order.js'

const worker = await startWorker(loadConfig(), { newBatcher: (limits, now) => new ArrivalOrder(limits, now) })
for (const signal of ['SIGTERM', 'disconnect'] as const) {
  process.once(signal, () => void worker.close().then(() => process.exit(0)))
}
process.send?.({ type: 'listening', url: worker.url })
