/**
 * The small records of jobs answered in full at submit. Their ids are UUIDv7, so an id itself says in which second's
 * hash its record lies; those of one turn of the event loop are written by one command per second and life.
 */
import type { Redis } from 'ioredis'
import type { KnownJob } from './record.js'

/** Of one script call: far below what Redis would notice as a pause. */
const maxPerWrite = 256

interface Write {
  key: string
  lifeMs: number
  fields: string[]
  done: Promise<void>
}

export class KnownJobs {
  readonly #redis: Redis
  #next: Write | undefined

  constructor(redis: Redis) {
    this.#redis = redis
  }

  /** Resolves when it is written. @throws the error of Redis */
  remember(job: KnownJob): Promise<void> {
    const key = secondKey(job.id)
    // The hash lives on until the last moment of its second has had its time.
    const lifeMs = Math.max(1, job.expiresAtMs - job.createdAtMs) + 1000
    let write = this.#next
    if (!write || write.key !== key || write.lifeMs !== lifeMs || write.fields.length >= maxPerWrite * 2) {
      write = this.#begin(key, lifeMs)
    }
    write.fields.push(job.id, JSON.stringify(job))
    return write.done
  }

  async read(id: string): Promise<KnownJob | undefined> {
    const text = await this.#redis.hget(secondKey(id), id)
    return text === null ? undefined : (JSON.parse(text) as KnownJob)
  }

  #begin(key: string, lifeMs: number): Write {
    const fields: string[] = []
    const done = new Promise<void>((resolve, reject) => {
      setImmediate(() => {
        if (this.#next === write) this.#next = undefined
        this.#redis.mrRememberKnown(key, lifeMs, ...fields).then(() => resolve(), reject)
      })
    })
    const write = { key, lifeMs, fields, done }
    this.#next = write
    return write
  }
}

/** The first 48 bits of a UUIDv7 are Unix milliseconds (RFC 9562, 5.7). Any other id names a hash nobody writes to. */
export function secondKey(id: string): string {
  const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  return `mr:{known:${Math.floor(ms / 1000)}}`
}
