/**
 * What became of a job's webhook: the last tries, for its owner to read. Beside the record on the queue Redis, and gone
 * with it. A try cut off by a crash may be missing here, or stand here twice; its webhook-id tells.
 */
import type { Delivery } from '@millrace/contracts'
import { closeRedis, firstReady, openRedis, type RedisEvent, reach } from '@millrace/redis'
import type { Redis } from 'ioredis'

export interface DeliveryLogOptions {
  url: string
  /** The gateway fails fast while Redis is away; the courier waits for it. */
  role: 'gateway' | 'worker'
  on?: ((event: RedisEvent) => void) | undefined
}

const keptTries = 20
const commandTimeoutMs = { gateway: 2000, worker: 120_000 }

export class DeliveryLog {
  readonly #redis: Redis

  private constructor(redis: Redis) {
    this.#redis = redis
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect({ url, role, on }: DeliveryLogOptions): Promise<DeliveryLog> {
    const redis = openRedis({
      url,
      role: 'queue',
      failFast: role === 'gateway',
      commandTimeoutMs: commandTimeoutMs[role],
      on,
    })
    await firstReady(redis, 2000)
    return new DeliveryLog(redis)
  }

  /**
   * @param lifeMs how long the job can still be read; the log lasts as long
   * @throws MillraceError queue_unavailable, queue_memory
   */
  async append(jobId: string, delivery: Delivery, lifeMs: number): Promise<void> {
    const key = logKey(jobId)
    const answers = await reach(() =>
      this.#redis
        .multi()
        .rpush(key, JSON.stringify(delivery))
        .ltrim(key, -keptTries, -1)
        .pexpire(key, Math.max(1, Math.ceil(lifeMs)))
        .exec(),
    )
    // A transaction resolves even where its commands failed.
    const fault = answers?.find(([error]) => error)?.[0]
    if (fault) await reach(() => Promise.reject(fault))
  }

  /** The last 20 tries, oldest first. @throws MillraceError queue_unavailable */
  async read(jobId: string): Promise<Delivery[]> {
    const lines = await reach(() => this.#redis.lrange(logKey(jobId), 0, -1))
    return lines.map((line) => JSON.parse(line) as Delivery)
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }
}

function logKey(jobId: string): string {
  return `mr:{${jobId}}:hooks`
}
