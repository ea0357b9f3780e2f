/** For the tests of processJob: a chunk, and everything around it that a test can bend. Never built. */
import { encodeVector, keyMaker } from '@millrace/cache'
import { MillraceError, type WebhookEvent } from '@millrace/contracts'
import {
  type ChunkDelivery,
  type ChunkResult,
  freshProgress,
  type JobFacts,
  type OutputPiece,
  type StoreOutcome,
  type TakenChunk,
  type WebhookData,
} from '@millrace/jobs'
import { ChunksInHand } from './chunks-in-hand.js'
import type { WorkerEvent } from './events.js'
import type { ItemAnswer, ItemRequest } from './items-in-flight.js'
import { type ProcessJobContext, processJob } from './process-job.js'

export const facts: JobFacts = {
  id: 'job',
  model: 'm',
  scope: 's',
  tenant: 't',
  priority: 0,
  metadata: {},
  webhook: null,
  requestDigest: null,
  requestId: 'r',
  single: false,
  encoding: 'float',
  truncate: false,
  slots: [0, 1],
  slotCount: 2,
  knownCount: 0,
  createdAtMs: 0,
  startLimitMs: 1000,
  lifeLimitMs: null,
  ttlMs: 5000,
}
export const items = [
  { slot: 0, input: 'a' },
  { slot: 1, input: 'b' },
]
export const taken = { state: 'taken', facts, startedAtMs: 10, settleByMs: null, items, first: true } as const
export const telling = (...events: WebhookEvent[]): JobFacts => ({
  ...facts,
  webhook: { url: 'https://example.com', events },
})
export const vector = encodeVector(new Float32Array([1]))
const batch = { size: 2, predictMs: 8 }
export const computed = (bytes = vector): ItemAnswer => ({ bytes, via: 'computed', tokenizeMs: 1, batch })
export const now = 20

/** By the version that these tests' worker serves. */
export const keyOf = keyMaker({
  scope: 's',
  modelVersion: 'v1',
  task: 'feature-extraction',
  options: { truncate: false },
})

/** @param options.takes what the store answers, one take after the other; the last one stays */
export function chunkUnderTest(options: {
  takes?: TakenChunk[]
  answers?: (Promise<ItemAnswer> | ItemAnswer)[] | 'never'
  /** What is heard while it is computed: the place of an item, and its text so far. */
  texts?: [place: number, text: string][]
  delivery?: Partial<ChunkDelivery>
  store?: Partial<ProcessJobContext['store']>
  webhooksFail?: boolean
  modelVersion?: string
}) {
  const done: string[] = []
  const computing: string[] = []
  const stored: ChunkResult[] = []
  const pieces: OutputPiece[] = []
  const asked: ItemRequest[] = []
  const tellings: Parameters<ProcessJobContext['teller']['tell']>[0][] = []
  const webhooks: WebhookData[] = []
  const events: WorkerEvent[] = []
  const counted: { share: number; count: number }[] = []
  const inHand = new ChunksInHand()
  const takes = [...(options.takes ?? [taken])]
  const note = (what: string) => async () => {
    done.push(what)
  }
  const delivery: ChunkDelivery = {
    jobId: 'job',
    run: 0,
    chunk: 0,
    ageMs: 10,
    share: 1,
    attempt: 1,
    lastAttempt: false,
    givenUp: undefined,
    complete: note('complete'),
    fail: note('fail'),
    giveBack: note('give back'),
    ...options.delivery,
  }
  const progress = {
    ...freshProgress(1, { startByMs: 1000, settleByMs: null }),
    status: 'succeeded' as const,
    run: delivery.run,
  }
  let computingNow: () => void = () => {}
  const context: ProcessJobContext = {
    alias: 'm',
    task: 'feature-extraction',
    modelVersion: options.modelVersion ?? 'v1',
    store: {
      take: async () => {
        const one = takes.length > 1 ? takes.shift() : takes[0]
        if (!one) throw new Error('nothing to take')
        return one
      },
      readBlob: async () => undefined,
      storeChunk: async (result, _nowMs, foreseen) => {
        done.push(foreseen ? 'store and tell' : 'store')
        stored.push(result)
        return { state: 'settled-now', facts: options.takes?.find(isTaken)?.facts ?? facts, progress }
      },
      appendOutput: async (_job, piece) => {
        pieces.push(piece)
        return true
      },
      settle: async (_facts, status) => {
        done.push(`settle ${status}`)
        const late = options.takes?.find((one) => one.state === 'late')
        const outcome: StoreOutcome = {
          state: 'settled-now',
          facts: late?.facts ?? facts,
          progress: { ...progress, status },
        }
        return outcome
      },
      ...options.store,
    },
    computer: {
      compute: (requests, { signal, onText }) => {
        asked.push(...requests)
        for (const [place, text] of options.texts ?? []) onText?.(place, text)
        computing.push(...requests.map(({ input }) => input))
        computingNow()
        const { answers = [computed(), computed()] } = options
        if (answers !== 'never') return answers.map((one) => Promise.resolve(one))
        return requests.map(
          () =>
            new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason))
            }),
        )
      },
    },
    inHand,
    teller: {
      tell: async (settled) => {
        done.push('tell')
        tellings.push(settled)
      },
    },
    webhooks: {
      add: async (data) => {
        if (options.webhooksFail) throw new MillraceError('queue_unavailable', 'away')
        done.push(data.event)
        webhooks.push(data)
      },
    },
    now: () => now,
    emit: (event) => events.push(event),
    onStored: (share, count) => counted.push({ share, count }),
    onSeen: () => {},
  }
  const ahead = { facts, items: items.slice(0, 1), claimed: keyOf('a') }
  const isComputing = new Promise<void>((resolve) => {
    computingNow = resolve
  })
  return {
    done,
    computing,
    stored,
    tellings,
    /** Told while it was computed. */
    pieces,
    requests: asked,
    webhooks,
    events,
    inHand,
    isComputing,
    run: () => processJob(delivery, context),
    /** Its first item, told ahead. */
    runAhead: () => processJob({ ...delivery, ahead }, context),
    counted,
  }
}

function isTaken(one: TakenChunk): one is Extract<TakenChunk, { state: 'taken' }> {
  return one.state === 'taken'
}
