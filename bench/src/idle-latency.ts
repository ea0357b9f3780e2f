/**
 * Latency of a miss on an idle fleet beside that of the engine alone: one text straight through the engine, one through the
 * fleet, in turn, so that both find the machine as it is in the same moment: at rest, and with caches that others have used
 * in between. Engine calls in a row, with nothing between them, are a millisecond faster than any that a request meets.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { LoadedModel } from '@millrace/model'
import { postJob, requestLimitMs } from './closed-loop.js'
import { HttpConnection } from './http-connection.js'
import { median } from './machine.js'

export interface IdleLatency {
  /** Medians, in milliseconds. */
  fleetMs: number
  directMs: number
  addedMs: number
  pairs: number
}

/** What the answer before left to do is done by then. */
const restMs = 10

/** @param next the text of the next call, never one that the cache knows   @param one the body of a request for it */
export async function idleLatency(options: {
  url: string
  direct: LoadedModel
  pairs: number
  next: () => string
  one: (text: string) => { body: string }
}): Promise<IdleLatency> {
  const { direct, pairs, next, one } = options
  const connection = await HttpConnection.open(options.url, requestLimitMs)
  const alone: number[] = []
  const through: number[] = []
  try {
    for (let pair = 0; pair < pairs; pair++) {
      const item = direct.encode({ input: next(), truncate: false })
      alone.push(await timed(() => direct.runBatch([item])))
      const { body } = one(next())
      through.push(await timed(() => postJob(connection, body)))
    }
  } finally {
    connection.close()
  }
  const [fleetMs, directMs] = [median(through), median(alone)]
  return { fleetMs, directMs, addedMs: fleetMs - directMs, pairs }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  await pause(restMs)
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}
