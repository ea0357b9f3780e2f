/**
 * The records of all jobs on the queue Redis: the truth about every job. Every write is one script, safe to repeat.
 * Knows nothing of BullMQ.
 */
import { type ErrorCode, isTerminal, type TerminalStatus } from '@millrace/contracts'
import {
  closeRedis,
  firstReady,
  memoryUse,
  openRedis,
  type RedisEvent,
  reach,
  settingFaults,
} from '@millrace/redis'
import type { Redis } from 'ioredis'
import { eventId, eventPlace, placeIn } from './event-id.js'
import { defineJobCommands, type ScriptOutcome } from './job-commands.js'
import { KnownJobs } from './known-jobs.js'
import {
  chunkPayload,
  factsOf,
  fieldsOfFlat,
  type JobFacts,
  type JobProgress,
  type KnownJob,
  keysOf,
  limitsFrom,
  type NewJob,
  parseChunk,
  parseFacts,
  progressOf,
  recordLifeMs,
  type SlotInput,
  type StoredJob,
  storedJob,
  unsettledLifeMs,
} from './record.js'
import { settledChannel } from './settled-channel.js'
import { settledHeader, travelling } from './settled-message.js'
import { Together } from './together.js'

export interface JobStoreOptions {
  url: string
  /** The gateway fails fast (503) while Redis is away; a worker holds results and waits for it. */
  role: 'gateway' | 'worker'
  on?: ((event: RedisEvent) => void) | undefined
}

/** What a worker learns when it takes a chunk. */
export type TakenChunk =
  | { state: 'gone' | 'retried' | 'stored' }
  | { state: 'settled'; facts: JobFacts; status: TerminalStatus }
  | { state: 'late'; facts: JobFacts }
  | {
      state: 'taken'
      facts: JobFacts
      startedAtMs: number
      /** Past this it is late; null: there is no such limit. */
      settleByMs: number | null
      items: SlotInput[]
      /** Whether this call started the job. */
      first: boolean
    }

/** A chunk as BullMQ carries it. */
export interface ChunkRef {
  jobId: string
  run: number
  chunk: number
}

/** A chunk's outputs and what they cost. Times in microseconds. */
export interface ChunkResult extends ChunkRef {
  ttlMs: number
  results: ReadonlyMap<number, Buffer>
  failed: number
  hits: number
  joined: number
  tokenizeUs: number
  predictUs: number
  batchSize: number
}

/** How a chunk settles its job if it does so as succeeded. */
export interface Foreseen {
  facts: JobFacts
  progress: JobProgress
}

/** What became of the job when a chunk was stored or a status was given. */
export type StoreOutcome =
  | { state: 'gone' | 'retried' | 'settled' | 'stored' | 'more' }
  | { state: 'settled-now'; facts: JobFacts; progress: JobProgress }

export type RetryOutcome =
  | { state: 'gone' | 'refused' }
  | { state: 'queued'; facts: JobFacts; progress: JobProgress; chunks: number[] }

/** One event of a job; `id` orders them and is where a reader goes on. */
export interface StoredEvent {
  id: string
  type: 'started' | 'progress' | 'output' | TerminalStatus
  /** Distinct inputs done, of a `progress`. */
  slots: number
  /** Of an `output`: which input, how many bytes of its text came before, and what follows them. */
  output?: { index: number; start: number; text: string }
}

/** More of the text of a slot; `start`: how many bytes of UTF-8 came before. */
export interface OutputPiece {
  slot: number
  start: number
  text: string
}

/** So many can be read at once. */
export const eventsAtOnce = 128
/** Of a job that is worked on: at one piece every 50 ms the last 50 s, for who comes back. What it ends with has all. */
const outputEventsKept = 1024

interface Creating {
  readonly job: NewJob
  readonly begun: boolean
}

interface Taking {
  readonly chunk: ChunkRef
  readonly attempt: number
  readonly nowMs: number
}

interface Storing {
  readonly result: ChunkResult
  readonly nowMs: number
  readonly foreseen: Foreseen | undefined
}

/** Records that one script writes: Redis does nothing else meanwhile, for about 50 us each. */
const recordsAtOnce = 32
const gatewayCommandTimeoutMs = 2000
/** From each chunk that is taken, its job's inputs live at least this long. */
const leastLifeAtWorkMs = 600_000
/** Much longer than an outage should last; a worker's wait has an end all the same. */
const workerCommandTimeoutMs = 120_000

export class JobStore {
  /** For the queues of this package: what is sent here in one turn arrives in that order. */
  readonly connection: Redis
  readonly #redis: Redis
  readonly #known: KnownJobs
  readonly #creating = new Together<Creating, boolean>((jobs) => this.#createAll(jobs), recordsAtOnce)
  readonly #taking = new Together<Taking, TakenChunk>((chunks) => this.#takeAll(chunks), recordsAtOnce)
  readonly #storing = new Together<Storing, StoreOutcome>((chunks) => this.#storeAll(chunks), recordsAtOnce)
  /** On Redis Cluster the keys of different jobs may lie on different nodes. */
  #jobsLieApart = false

  private constructor(redis: Redis) {
    this.connection = redis
    this.#redis = redis
    this.#known = new KnownJobs(redis)
  }

  /** Resolves within about 2 s even when Redis is away; it then connects in the background. */
  static async connect(options: JobStoreOptions): Promise<JobStore> {
    const redis = openRedis({
      url: options.url,
      role: 'queue',
      failFast: options.role === 'gateway',
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
   * @param begun a worker was told of it ahead: it is written as started
   * @throws MillraceError queue_unavailable, queue_memory
   */
  async create(job: NewJob, begun = false): Promise<boolean> {
    const [created] = await this.#createAll([{ job, begun }])
    return created === true
  }

  /** The same, at the end of this turn and together with all who do so in it. @throws as create */
  createTogether(job: NewJob): Promise<boolean> {
    return this.#creating.ask({ job, begun: false })
  }

  async #createAll(all: readonly Creating[]): Promise<boolean[]> {
    const created = await this.#inOneStep(all, (jobs) => {
      const keys = jobs.flatMap(({ job }) => {
        const { record, inputs, outputs, blobs } = keysOf(job.id)
        return [record, inputs, outputs, blobs]
      })
      return this.#redis.mrCreateJobs(keys.length, ...keys, ...jobs.flatMap(argumentsOfNew))
    })
    return created.map((one) => one === 1)
  }

  /** One script for all where Redis runs it, else one for each: it refuses keys that lie apart before it runs anything. */
  #inOneStep<Item, Answer>(
    all: readonly Item[],
    send: (items: readonly Item[]) => Promise<Answer[]>,
  ): Promise<Answer[]> {
    return reach(async () => {
      if (!this.#jobsLieApart) {
        try {
          return await send(all)
        } catch (error) {
          if (!(error instanceof Error && error.message.startsWith('CROSSSLOT'))) throw error
          this.#jobsLieApart = true
        }
      }
      const answers = await Promise.all(all.map((one) => send([one])))
      return answers.flat()
    })
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

  /** The job without its outputs, as lists show it; undefined also where it was answered at submit. */
  async readSummary(id: string): Promise<StoredJob | undefined> {
    const fields = await reach(() => this.#redis.hgetall(keysOf(id).record))
    if (fields.facts === undefined) return undefined
    return storedJob(parseFacts(fields.facts), progressOf(fields), new Map())
  }

  /** A worker takes a chunk; all calls of one turn are one step. @param attempt which try of this chunk it is, from 1 */
  take(chunk: ChunkRef, attempt: number, nowMs: number): Promise<TakenChunk> {
    return this.#taking.ask({ chunk, attempt, nowMs })
  }

  async #takeAll(all: readonly Taking[]): Promise<TakenChunk[]> {
    const answers = await this.#inOneStep(all, (chunks) => {
      const keys = chunks.flatMap(({ chunk }) => {
        const { record, inputs, events, blobs } = keysOf(chunk.jobId)
        return [record, inputs, events, blobs]
      })
      const each = chunks.flatMap(({ chunk: { chunk, run }, attempt, nowMs }) => [nowMs, chunk, attempt, run])
      return this.#redis.mrTakeChunks(keys.length, ...keys, leastLifeAtWorkMs, ...each)
    })
    return answers.map(takenOf)
  }

  /** The bytes of an image or a recording; undefined once the job is settled, canceled or gone. */
  async readBlob(jobId: string, digest: string): Promise<Buffer | undefined> {
    const bytes = await reach(() => this.#redis.hgetBuffer(keysOf(jobId).blobs, digest))
    return bytes ?? undefined
  }

  /**
   * Stores the outputs of a chunk; all calls of one turn are one step. Repeating a call changes nothing.
   * @param foreseen told to every gateway in the same step, and answered, where this call settles the job as succeeded
   */
  storeChunk(result: ChunkResult, nowMs: number, foreseen?: Foreseen): Promise<StoreOutcome> {
    return this.#storing.ask({ result, nowMs, foreseen })
  }

  async #storeAll(all: readonly Storing[]): Promise<StoreOutcome[]> {
    const outcomes = await this.#inOneStep(all, (chunks) => {
      const keys = chunks.flatMap(({ result }) => everyKey(result.jobId))
      const each = chunks.flatMap(argumentsOfResult)
      return this.#redis.mrStoreChunks(keys.length, ...keys, settledChannel, ...each)
    })
    return outcomes.map((outcome, i) => {
      const foreseen = all[i]?.foreseen
      if (foreseen && outcome[0] === 'told') return { state: 'settled-now', ...foreseen }
      return outcomeOf(outcome)
    })
  }

  /**
   * Writes more of an output as an event; what was written before is not written again.
   * @returns whether there was something to write: not when the job is settled, or has had a later run
   */
  async appendOutput(
    { id, run, slots }: Pick<JobFacts, 'id' | 'slots'> & { run: number },
    { slot, start, text }: OutputPiece,
  ): Promise<boolean> {
    const { record, events } = keysOf(id)
    const index = slots.indexOf(slot)
    const written = await reach(() =>
      this.#redis.mrAppendOutput(
        record,
        events,
        run,
        slot,
        index,
        start,
        text,
        outputEventsKept,
        leastLifeAtWorkMs,
      ),
    )
    return written === 1
  }

  /**
   * Gives the job a terminal status from outside its chunks; the first write wins. With a `run`, only that run of it.
   */
  async settle(
    facts: Pick<JobFacts, 'id' | 'ttlMs'> & { run?: number },
    status: TerminalStatus,
    error: { code: ErrorCode; detail: string },
    nowMs: number,
  ): Promise<StoreOutcome> {
    const outcome = await reach(() =>
      this.#redis.mrSettleJob(
        ...everyKey(facts.id),
        nowMs,
        status,
        facts.ttlMs,
        recordLifeMs(facts.ttlMs),
        JSON.stringify(error),
        facts.run ?? '',
      ),
    )
    return outcomeOf(outcome)
  }

  /**
   * Opens a failed or expired job again as its next run; `chunks` are then to be queued. Asked again while that run waits, it
   * answers the same.
   */
  async retry(job: JobFacts, nowMs: number): Promise<RetryOutcome> {
    const { startByMs, settleByMs } = limitsFrom(job, nowMs)
    const lifeMs = unsettledLifeMs(job)
    const [state, record, ...chunks] = await reach(() =>
      this.#redis.mrRetryJob(...everyKey(job.id), lifeMs, recordLifeMs(lifeMs), startByMs, settleByMs ?? ''),
    )
    if (record === undefined) return { state: state as 'gone' | 'refused' }
    const fields = fieldsOfFlat(record)
    return { state: 'queued', facts: parseFacts(fields.facts ?? ''), progress: progressOf(fields), chunks }
  }

  /**
   * What had happened to a job, in the run it is in, when it was read: after the event `afterId`, oldest first, at most
   * `eventsAtOnce`. Its start and its end are told by the record, what lies between by a stream that most jobs do not have.
   */
  async eventsAfter(job: StoredJob, afterId: string): Promise<StoredEvent[]> {
    const { run, status } = job
    const after = placeIn(run, afterId)
    if (status === 'queued' || after >= eventPlace.ended) return []
    const started = after < eventPlace.started && job.startedAtMs !== null
    const events: StoredEvent[] = started
      ? [{ id: eventId(run, eventPlace.started), type: 'started', slots: 0 }]
      : []
    const from = `(${eventId(run, Math.max(after, eventPlace.started))}`
    const to = eventId(run, eventPlace.ended)
    const most = eventsAtOnce - events.length
    const entries = await reach(() => this.#redis.xrange(keysOf(job.id).events, from, to, 'COUNT', most))
    events.push(...entries.map(eventOf))
    if (isTerminal(status) && events.length < eventsAtOnce) {
      events.push({ id: eventId(run, eventPlace.ended), type: status, slots: 0 })
    }
    return events
  }

  /** One message to every gateway; see settled-channel.ts. */
  async publish(channel: string, message: Buffer): Promise<void> {
    await reach(() => this.#redis.publish(channel, message))
  }

  async close(): Promise<void> {
    this.#known.flush()
    await closeRedis(this.#redis)
  }
}

/** In the order in which the scripts name them. */
function everyKey(id: string): [string, string, string, string, string] {
  const { record, inputs, outputs, events, blobs } = keysOf(id)
  return [record, inputs, outputs, events, blobs]
}

/** As create-jobs.lua names them. */
function argumentsOfNew({ job, begun }: Creating): (string | number | Buffer)[] {
  const { startByMs, settleByMs } = limitsFrom(job, job.createdAtMs)
  const lifeMs = job.chunks.length === 0 ? job.ttlMs : unsettledLifeMs(job)
  const blobs = [...(job.blobs ?? [])]
  return [
    lifeMs,
    recordLifeMs(lifeMs),
    job.createdAtMs,
    JSON.stringify(factsOf(job)),
    startByMs,
    settleByMs ?? '',
    begun ? 1 : 0,
    job.chunks.length,
    job.known.size,
    blobs.length,
    ...job.chunks.map(chunkPayload),
    ...[...job.known].flat(),
    ...blobs.flat(),
  ]
}

function takenOf([state, facts = '', third = '', started, first, settleBy]: string[]): TakenChunk {
  switch (state) {
    case 'late':
      return { state, facts: parseFacts(facts) }
    case 'settled':
      return { state, facts: parseFacts(facts), status: third as TerminalStatus }
    case 'taken':
      return {
        state,
        facts: parseFacts(facts),
        startedAtMs: Number(started),
        settleByMs: settleBy ? Number(settleBy) : null,
        items: parseChunk(third || '[]'),
        first: Number(first) === 1,
      }
    default:
      return { state: state as 'gone' | 'retried' | 'stored' }
  }
}

function eventOf([id, flat]: [id: string, flat: string[]]): StoredEvent {
  const { type, slots = 0, index, start, text = '' } = fieldsOfFlat(flat)
  const event = { id, type: type as StoredEvent['type'], slots: Number(slots) }
  return type === 'output'
    ? { ...event, output: { index: Number(index), start: Number(start), text } }
    : event
}

/** As store-chunks.lua names them. */
function argumentsOfResult({ result, nowMs, foreseen }: Storing): (string | number | Buffer)[] {
  const { jobId, results: outputs } = result
  const told = travelling(outputs)
  return [
    nowMs,
    result.chunk,
    result.run,
    result.ttlMs,
    recordLifeMs(result.ttlMs),
    result.failed,
    result.hits,
    result.joined,
    Math.round(result.tokenizeUs),
    Math.round(result.predictUs),
    result.batchSize,
    foreseen ? settledHeader({ jobId, progress: foreseen.progress, outputs: told }) : '',
    told === null ? 0 : 1,
    outputs.size,
    ...[...outputs].flat(),
  ]
}

function outcomeOf([state, record]: ScriptOutcome): StoreOutcome {
  if (record === undefined) return { state: state as 'gone' | 'settled' | 'stored' | 'more' }
  const fields = fieldsOfFlat(record)
  return { state: 'settled-now', facts: parseFacts(fields.facts ?? ''), progress: progressOf(fields) }
}
