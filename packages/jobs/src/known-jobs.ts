/**
 * The small records of jobs answered in full at submit. Their ids are UUIDv7, so an id itself says in which second's
 * hash its record lies; those of a few milliseconds are written by one command, so that hits cost the queue Redis little.
 */
import type { Redis } from 'ioredis'
import type { KnownJob } from './record.js'

/** Of one script call: far below what Redis would notice as a pause. */
const maxPerWrite = 256
/** How long a record may wait for others to be written with. */
const gatherMs = 5
/** A reader who does not find a job that is younger than this looks once more: clocks differ, and a write takes its time. */
const writtenWithinMs = 250

interface Write {
  key: string
  lifeMs: number
  fields: string[]
  done: Promise<void>
  send: () => void
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
      this.flush()
      write = this.#begin(key, lifeMs)
    }
    write.fields.push(job.id, JSON.stringify(job))
    return write.done
  }

  async read(id: string): Promise<KnownJob | undefined> {
    const text = await this.#redis.hget(secondKey(id), id)
    return text === null ? undefined : (JSON.parse(text) as KnownJob)
  }

  /** Sends what is gathered now: before closing, for one. */
  flush(): void {
    this.#next?.send()
  }

  #begin(key: string, lifeMs: number): Write {
    const fields: string[] = []
    let send = () => {}
    const done = new Promise<void>((resolve, reject) => {
      send = () => {
        clearTimeout(timer)
        if (this.#next === write) this.#next = undefined
        this.#redis.mrRememberKnown(key, lifeMs, ...fields).then(() => resolve(), reject)
      }
    })
    const timer = setTimeout(send, gatherMs)
    const write = { key, lifeMs, fields, done, send }
    this.#next = write
    return write
  }
}

/** Whether a job of this id may have been answered so lately that its small record is still on its way. */
export function mayBeOnItsWay(id: string, nowMs: number): boolean {
  return Math.abs(nowMs - msOf(id)) < writtenWithinMs
}

export function secondKey(id: string): string {
  return `mr:{known:${Math.floor(msOf(id) / 1000)}}`
}

/** The first 48 bits of a UUIDv7 are Unix milliseconds (RFC 9562, 5.7). Any other id names a hash nobody writes to. */
function msOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
