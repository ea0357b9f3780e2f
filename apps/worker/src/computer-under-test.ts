/** For the tests of ItemComputer: one whose model and claims answer when a test says so. Never built. */
import { MicroBatcher } from '@millrace/batching'
import { decodeResult, type GetOrClaim } from '@millrace/cache'
import { MillraceError, type ModelFacts } from '@millrace/contracts'
import type { BatchOutcome, EncodedItem, LoadedModel, RunHooks } from '@millrace/model'
import { expect } from 'vitest'
import type { Claims } from './claims.js'
import { ItemComputer } from './compute-items.js'
import type { ItemInFlight, ItemRequest } from './items-in-flight.js'

/** An input, or one with its priority (0 otherwise). */
type Wanted = string | { input: string; priority: number }

export const request = (wanted: Wanted): ItemRequest => {
  const { input, priority } = typeof wanted === 'string' ? { input: wanted, priority: 0 } : wanted
  return { key: `key of ${input}`, input, truncate: false, priority }
}
export const numberOf = (bytes: Buffer) => {
  const result = decodeResult(bytes)
  if (result.kind === 'value') return (result.value as { generated_text: string }).generated_text
  return result.kind === 'vector' ? result.values[0] : result.kind === 'error' ? result.error.code : undefined
}

const embeddingFacts: ModelFacts = {
  task: 'feature-extraction',
  version: 'v1',
  dtype: 'q8',
  dimensions: 1,
  max_tokens: 8,
  batching: { mode: 'batched', probe_difference: 0 },
}

/** Ids are letters. What it gives is a text; a vector that begins with 9 is a part of one. */
const growing: Partial<LoadedModel> = {
  follow: () => {
    const ids: number[] = []
    return {
      tokens: (at, more) => {
        ids.splice(at, ids.length, ...more)
        const text = String.fromCharCode(...ids)
        return { text, ended: text.endsWith('e') }
      },
    }
  },
  resultOf: ([first, ...rest]) => ({
    kind: 'value',
    value: { generated_text: String.fromCharCode(...rest) },
    partial: first === 9,
  }),
}

/**
 * A model whose vector is the text's length, to which a text that begins with `$` costs 8 tokens, and which answers only when it is told to.
 * @param options.growing its items grow: each token is a letter, and `e` ends a text
 * @param options.holdTakes claims are then answered only when `takes` is told to
 */
export function computerUnderTest(
  states: Record<string, GetOrClaim[]> = {},
  options: { holdTakes?: boolean; growing?: boolean } = {},
) {
  const takes: { keys: readonly string[]; answer: () => void }[] = []
  const clock = { nowMs: 0 }
  let rooms = 0
  const batches: {
    items: readonly EncodedItem[]
    hooks: RunHooks | undefined
    answer: (outcome?: BatchOutcome) => void
  }[] = []
  const settled: string[][] = []
  const released: string[] = []
  let lost: Error | undefined
  const model: Partial<LoadedModel> = {
    facts: embeddingFacts,
    slots: 2,
    encode: ({ input, bytes }) => {
      if (input.length > 8) throw new MillraceError('input_too_long', 'too long')
      const ids = new Int32Array(input.length)
      if (bytes) return { ids, extra: { bytes } }
      return input.startsWith('$') ? { ids, cost: 8 } : { ids }
    },
    resultOf: (values) => ({ kind: 'vector', values }),
    ...(options.growing ? growing : {}),
    runBatch: (items, hooks) =>
      new Promise((resolve, reject) => {
        const good = {
          outcomes: items.map(({ ids }) => ({ ok: true as const, vector: new Float32Array([ids.length]) })),
          predictMs: 1,
        }
        batches.push({
          items,
          hooks,
          answer: (outcome = good) =>
            outcome.outcomes.length > 0 ? resolve(outcome) : reject(new Error('gone')),
        })
      }),
  }
  const claims: Partial<Claims> = {
    take: (keys) =>
      new Promise((resolve) => {
        const answer = () => resolve(keys.map((key) => states[key]?.shift() ?? { state: 'claimed' }))
        if (options.holdTakes && keys.length > 0) takes.push({ keys, answer })
        else answer()
      }),
    settle: async (answers) => void settled.push(answers.map(({ key }) => key)),
    release: async (keys) => void released.push(...keys),
  }
  const computer = new ItemComputer({
    alias: 'm',
    model: model as LoadedModel,
    batcher: new MicroBatcher<ItemInFlight>({ maxArea: 8, maxItems: 8, lookahead: 8 }, () => 0),
    claims: claims as Claims,
    busyLimitMs: 1000,
    now: () => clock.nowMs,
    emit: () => {},
    onRoom: () => {
      rooms += 1
    },
    onModelLost: (error) => {
      lost = error
    },
  })
  const poll = { timeout: 5000, interval: 5 }
  const ran = (count: number) => expect.poll(() => batches.length, poll).toBe(count)
  const asked = (count: number) => expect.poll(() => takes.length, poll).toBe(count)
  /** What one job asks for. */
  const job = (...inputs: (Wanted | ItemRequest)[]) => {
    const controller = new AbortController()
    const texts: string[] = []
    const answers = computer.compute(
      inputs.map((input) => (typeof input === 'object' && 'key' in input ? input : request(input))),
      { signal: controller.signal, onText: (_place, text) => texts.push(text) },
    )
    const ended = Promise.allSettled(answers).then((all) =>
      all.map((one) =>
        one.status === 'fulfilled' ? `${one.value.via} ${numberOf(one.value.bytes)}` : String(one.reason),
      ),
    )
    return { answers, ended, texts, cancel: () => controller.abort('canceled') }
  }
  const get = (...inputs: Wanted[]) => job(...inputs).answers
  return {
    computer,
    batches,
    settled,
    released,
    takes,
    clock,
    ran,
    asked,
    job,
    get,
    rooms: () => rooms,
    lost: () => lost,
  }
}
