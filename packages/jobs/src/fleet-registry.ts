/**
 * Who serves what: each worker announces itself every few seconds, and what its models turned out to be is kept, so
 * that a cache hit is answered even while no worker is up. Freshness goes by Redis' clock alone.
 */
import { type ModelFacts, modelFactsSchema, servingSchema } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent, reach } from '@millrace/redis'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import { defineJobCommands } from './job-commands.js'

const announcementSchema = z.object({
  id: z.string(),
  startedAtMs: z.number(),
  /** By alias: how it serves the model, and what it has finished since it started, for drain rates. */
  models: z.record(
    z.string(),
    z.object({ chunksDone: z.number(), itemsDone: z.number(), serving: servingSchema }),
  ),
})

/** What a worker says of itself. */
export type WorkerAnnouncement = z.infer<typeof announcementSchema>

export interface Fleet {
  workers: WorkerAnnouncement[]
  /**
   * Facts of every model that a worker ever loaded here, by alias. Of several versions that of the worker that started
   * last: all gateways look results up by the same one.
   */
  models: ReadonlyMap<string, ModelFacts>
}

const keys = { workers: 'mr:{fleet}:workers', models: 'mr:{fleet}:models' }
/** A worker not heard of for this long is not counted. */
const staleAfterMs = 10_000
const commandTimeoutMs = 2000

/** How often a worker should announce itself. */
export const announceEveryMs = 2000

export class FleetRegistry {
  readonly #redis: Redis

  private constructor(redis: Redis) {
    this.#redis = redis
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: {
    url: string
    on?: ((event: RedisEvent) => void) | undefined
  }): Promise<FleetRegistry> {
    const redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: true,
      commandTimeoutMs,
      on: options.on,
    })
    defineJobCommands(redis)
    await firstReady(redis, 2000)
    return new FleetRegistry(redis)
  }

  /** @throws MillraceError queue_unavailable */
  async announce(worker: WorkerAnnouncement, models: ReadonlyMap<string, ModelFacts>): Promise<void> {
    const facts = [...models].flatMap(([alias, found]) => [alias, JSON.stringify(found)])
    await reach(() =>
      this.#redis.mrAnnounceWorker(
        keys.workers,
        keys.models,
        worker.id,
        JSON.stringify(worker),
        String(worker.startedAtMs),
        String(staleAfterMs),
        ...facts,
      ),
    )
  }

  /** A worker that stops takes itself off the list. @throws MillraceError queue_unavailable */
  async withdraw(workerId: string): Promise<void> {
    await reach(() => this.#redis.hdel(keys.workers, workerId))
  }

  /** @throws MillraceError queue_unavailable */
  async read(): Promise<Fleet> {
    const [time, workers, models] = await reach(() =>
      Promise.all([this.#redis.time(), this.#redis.hgetall(keys.workers), this.#redis.hgetall(keys.models)]),
    )
    const nowMs = Number(time[0]) * 1000 + Math.floor(Number(time[1]) / 1000)
    const fleet: WorkerAnnouncement[] = []
    const stale: string[] = []
    for (const [id, value] of Object.entries(workers)) {
      const colon = value.indexOf(':')
      const fresh = nowMs - Number(value.slice(0, colon)) <= staleAfterMs
      const parsed = fresh ? announcementSchema.safeParse(JSON.parse(value.slice(colon + 1))) : undefined
      if (parsed?.success) fleet.push(parsed.data)
      else if (!fresh) stale.push(id)
    }
    if (stale.length > 0) this.#redis.hdel(keys.workers, ...stale).catch(() => {})
    // Redis keeps no order in a hash of long values.
    fleet.sort((a, b) => (a.id < b.id ? -1 : 1))
    return { workers: fleet, models: parseModels(models) }
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }
}

function parseModels(models: Record<string, string>): Map<string, ModelFacts> {
  const facts = new Map<string, ModelFacts>()
  for (const [alias, held] of Object.entries(models)) {
    const json = /^\d+:\d+:(.*)$/s.exec(held)?.[1]
    // Written by another version of Millrace perhaps: then as good as unknown.
    const parsed = json === undefined ? undefined : modelFactsSchema.safeParse(JSON.parse(json))
    if (parsed?.success) facts.set(alias, parsed.data)
  }
  return facts
}
