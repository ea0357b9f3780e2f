/** Tells the fleet every few seconds that this worker is up, what it serves and how much it has done. */
import { announceEveryMs, type FleetRegistry } from '@millrace/jobs'
import type { Emit } from './events.js'
import type { ServedModel } from './serve-model.js'

export interface Announcer {
  close(): Promise<void>
}

export async function announceWorker(options: {
  registry: FleetRegistry
  workerId: string
  models: readonly ServedModel[]
  startedAtMs: number
  emit: Emit
}): Promise<Announcer> {
  const { registry, workerId, models, startedAtMs, emit } = options
  const facts = new Map(models.map(({ alias, facts }) => [alias, facts]))
  const announce = async () => {
    const served = Object.fromEntries(
      models.map(({ alias, done, serving }) => [
        alias,
        { chunksDone: done.chunks, itemsDone: done.items, serving: serving() },
      ]),
    )
    await registry
      .announce({ id: workerId, startedAtMs, models: served }, facts)
      .catch((error: Error) => emit({ type: 'announce-failed', error }))
  }
  await announce()
  const timer = setInterval(announce, announceEveryMs)
  return {
    close: async () => {
      clearInterval(timer)
      await registry.withdraw(workerId).catch((error: Error) => emit({ type: 'announce-failed', error }))
    },
  }
}
