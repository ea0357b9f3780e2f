/**
 * The records of all jobs on the queue Redis: the truth about every job. Every write is one script, safe to repeat.
 * Knows nothing of BullMQ.
 */
import type { ErrorCode, TerminalStatus } from '@millrace/contracts'
import { closeRedis, firstReady, memoryUse, openRedis, type RedisEvent, settingFaults } from '@millrace/redis'
import type { Redis } from 'ioredis'
import { defineJobCommands, type ScriptOutcome } from './job-commands.js'
import { KnownJobs } from './known-jobs.js'
import { reach } from './reach.js'
import {
  chunkPayload,
  factsOf,
  fieldsOfFlat,
  type JobFacts,
  type JobProgress,
  type KnownJob,
  keysOf,
  type NewJob,
  parseChunk,
  parseFacts,
  progressOf,
  type SlotInput,
  type StoredJob,
  storedJob,
  unsettledLifeMs,
} from './record.js'

export interface JobStoreOptions {
  url: string
  /** The gateway fails fast (503) while Redis is away; a worker holds results and waits for it. */
  role: 'gateway' | 'worker'
  on?: ((event: RedisEvent) => void) | undefined
}

/** What a worker learns when it takes a chunk. */
export type TakenChunk =
  | { state: 'gone' | 'settled' | 'stored' }
  | { state: 'late'; facts: JobFacts }
  | { state: 'taken'; facts: JobFacts; startedAtMs: number; items: SlotInput[] }

/** A chunk's outputs and what they cost. Times in microseconds. */
export interface ChunkResult {
  jobId: string
  chunk: number
  ttlMs: number
  results: ReadonlyMap<number, Buffer>
  failed: number
  hits: number
  joined: number
  tokenizeUs: number
  predictUs: number
  batchSize: number
}

/** What became of the job when a chunk was stored or a status was given. */
export type StoreOutcome =
  | { state: 'gone' | 'settled' | 'stored' | 'more' }
  | { state: 'settled-now'; facts: JobFacts; progress: JobProgress }

const gatewayCommandTimeoutMs = 2000
/** Much longer than an outage should last; a worker's wait has an end all the same. */
const workerCommandTimeoutMs = 120_000

export class JobStore {
  readonly #redis: Redis
  readonly #known: KnownJobs

  private constructor(redis: Redis) {
    this.#redis = redis
    this.#known = new KnownJobs(redis)
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: JobStoreOptions): Promise<JobStore> {
    const redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: options.role === 'gateway',
      autoPipelining: true,
      commandTimeoutMs: options.role === 'gateway' ? gatewayCommandTimeoutMs : workerCommandTimeoutMs,
      on: options.on,
    })
    defineJobCommands(redis)
    await firstReady(redis, 2000)
    return new JobStore(redis)
  }

  get healthy(): boolean {
    return this.#redis.status === 'ready'
  }

  /** @throws MillraceError queue_unavailable */
  async ping(): Promise<void> {
    await reach(() => this.#redis.ping())
  }

  /** Sentences to say aloud at start. @throws MillraceError queue_unavailable */
  settingFaults(): Promise<string[]> {
    return reach(() => settingFaults(this.#redis, 'queue'))
  }

  /** Bytes in use and the limit (0: none). @throws MillraceError queue_unavailable */
  memoryUse(): Promise<{ used: number; max: number }> {
    return reach(() => memoryUse(this.#redis))
  }

  /**
   * Writes the record, before anything is queued. Answers whether it is new: creating the same id again changes nothing.
   * @throws MillraceError queue_unavailable, queue_memory
   */
  async create(job: NewJob): Promise<boolean> {
    const keys = keysOf(job.id)
    const known = [...job.known].flat()
    const created = await reach(() =>
      this.#redis.mrCreateJob(
        keys.record,
        keys.inputs,
        keys.outputs,
        unsettledLifeMs(job),
        JSON.stringify(factsOf(job)),
        job.chunks.length,
        job.known.size,
        ...job.chunks.map(chunkPayload),
        ...known,
      ),
    )
    return created === 1
  }

  /** Writes the small record of a job answered in full. @throws MillraceError queue_unavailable, queue_memory */
  async rememberKnown(job: KnownJob): Promise<void> {
    await reach(() => this.#known.remember(job))
  }

  /** The job with whatever outputs are in, or undefined when nobody knows it. @throws MillraceError queue_unavailable */
  async read(id: string): Promise<StoredJob | KnownJob | undefined> {
    const keys = keysOf(id)
    const [fields, outputs, known] = await reach(() =>
      Promise.all([
        this.#redis.hgetall(keys.record),
        this.#redis.hgetallBuffer(keys.outputs),
        this.#known.read(id),
      ]),
    )
    if (fields.facts === undefined) return known
    const bytes = new Map(Object.entries(outputs).map(([slot, value]) => [Number(slot), value]))
    return storedJob(parseFacts(fields.facts), progressOf(fields), bytes)
  }

  /** A worker takes a chunk. @param attempt which try of this chunk it is, from 1 */
  async take(jobId: string, chunk: number, attempt: number, nowMs: number): Promise<TakenChunk> {
    const keys = keysOf(jobId)
    const [state, facts, payload, started] = await reach(() =>
      this.#redis.mrTakeChunk(keys.record, keys.inputs, nowMs, chunk, attempt),
    )
    if (state === 'late') return { state, facts: parseFacts(facts ?? '') }
    if (state !== 'taken') return { state: state as 'gone' | 'settled' | 'stored' }
    return {
      state,
      facts: parseFacts(facts ?? ''),
      startedAtMs: Number(started),
      items: parseChunk(payload ?? '[]'),
    }
  }

  /** Stores the outputs of a chunk; all calls of one tick travel in one pipeline. Repeating a call changes nothing. */
  async storeChunk(result: ChunkResult, nowMs: number): Promise<StoreOutcome> {
    const keys = keysOf(result.jobId)
    const outcome = await reach(() =>
      this.#redis.mrStoreChunk(
        keys.record,
        keys.inputs,
        keys.outputs,
        nowMs,
        result.chunk,
        result.ttlMs,
        result.failed,
        result.hits,
        result.joined,
        Math.round(result.tokenizeUs),
        Math.round(result.predictUs),
        result.batchSize,
        ...[...result.results].flat(),
      ),
    )
    return outcomeOf(outcome)
  }

  /** Gives the job a terminal status from outside its chunks; the first write wins. */
  async settle(
    facts: Pick<JobFacts, 'id' | 'ttlMs'>,
    status: TerminalStatus,
    error: { code: ErrorCode; detail: string },
    nowMs: number,
  ): Promise<StoreOutcome> {
    const keys = keysOf(facts.id)
    const outcome = await reach(() =>
      this.#redis.mrSettleJob(
        keys.record,
        keys.inputs,
        keys.outputs,
        nowMs,
        status,
        facts.ttlMs,
        JSON.stringify(error),
      ),
    )
    return outcomeOf(outcome)
  }

  /** One message to every gateway; see settled-channel.ts. */
  async publish(channel: string, message: Buffer): Promise<void> {
    await reach(() => this.#redis.publish(channel, message))
  }

  async close(): Promise<void> {
    await closeRedis(this.#redis)
  }
}

function outcomeOf([state, record]: ScriptOutcome): StoreOutcome {
  if (record === undefined) return { state: state as 'gone' | 'settled' | 'stored' | 'more' }
  const fields = fieldsOfFlat(record)
  return { state: 'settled-now', facts: parseFacts(fields.facts ?? ''), progress: progressOf(fields) }
}
