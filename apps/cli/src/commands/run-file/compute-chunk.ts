/**
 * One chunk of lines through the fleet. What is wrong with single items costs those items; what is wrong with the whole
 * request (the key, the model, no connection) is thrown and ends the run, to be resumed.
 */
import { createHash } from 'node:crypto'
import { isSettled, type Millrace, MillraceApiError, type SettledJob } from '@millrace/client'
import { type ErrorCode, errorCodes, type ItemError, optionsOf, type Task } from '@millrace/contracts'
import { type InputItem, type LineResult, readLine } from './input-item.js'
import type { Chunk } from './input-lines.js'

export interface ComputeOptions {
  readonly client: Millrace
  readonly model: string
  /** Of the model. */
  readonly task: Task
  readonly truncate: boolean
  readonly priority: number | undefined
  /** Of this run and of those that resume it: part of every idempotency key. */
  readonly runId: string
}

export interface ComputedChunk {
  /** In the order of the lines. */
  readonly results: readonly LineResult[]
  /** Items that the fleet knew already. */
  readonly cached: number
}

/** Jobs that expired in a full queue, or were forgotten, are submitted again; so many tries in all. */
const attempts = 3
const waitS = 30
/** A job that is taken settles within the server's own limits; this ends the wait for a server that forgot them. */
const jobLimitMs = 3_600_000
const tooMuch: readonly string[] = ['body_too_large', 'too_many_items']

/** @throws MillraceApiError, MillraceConnectionError, MillraceTimeoutError, the signal's reason */
export async function computeChunk(
  chunk: Chunk,
  options: ComputeOptions,
  signal: AbortSignal,
): Promise<ComputedChunk> {
  const results = new Map<number, LineResult>()
  const items: InputItem[] = []
  let cached = 0

  const solve = async (items: readonly InputItem[]): Promise<void> => {
    if (items.length === 0) return
    const outcome = await settle(items, options, signal).catch((error: unknown) => error)
    if (outcome instanceof Error && !signal.aborted) return divide(items, outcome)
    if (!isJob(outcome)) throw outcome
    cached += outcome.metrics.cache.hits
    for (const [i, item] of items.entries()) results.set(item.index, resultOf(item, i, items.length, outcome))
  }
  const divide = async (items: readonly InputItem[], error: Error): Promise<void> => {
    const faults = faultsByItem(error, items.length)
    if (faults.size > 0) {
      for (const [i, fault] of faults) {
        const item = items[i]
        if (item) results.set(item.index, { ...item, error: fault })
      }
      return solve(items.filter((_, i) => !faults.has(i)))
    }
    if (!(error instanceof MillraceApiError) || !tooMuch.includes(error.code)) throw error
    const [only] = items
    if (items.length === 1 && only) {
      results.set(only.index, { ...only, error: { code: knownCode(error.code), detail: error.message } })
      return
    }
    const half = Math.ceil(items.length / 2)
    await solve(items.slice(0, half))
    await solve(items.slice(half))
  }

  for (const line of chunk.lines) {
    const read = readLine(line)
    if ('item' in read) items.push(read.item)
    else results.set(line.index, read.failed)
  }
  await solve(items)
  return { results: chunk.lines.flatMap(({ index }) => results.get(index) ?? []), cached }
}

async function settle(
  items: readonly InputItem[],
  { client, model, task, truncate, priority, runId }: ComputeOptions,
  signal: AbortSignal,
): Promise<SettledJob> {
  const inputs = items.map(({ input }) => input)
  const body = {
    model,
    inputs,
    options: { truncate, ...(optionsOf(task).includes('encoding') ? { encoding: 'base64' as const } : {}) },
    ...(priority === undefined ? {} : { priority }),
  }
  for (let attempt = 1; ; attempt++) {
    const idempotencyKey = keyOf(runId, attempt, items[0]?.index ?? 0, body)
    try {
      const job = await client.submit(body, { idempotencyKey, waitS, signal })
      const settled = isSettled(job) ? job : await client.wait(job.id, { timeoutMs: jobLimitMs, signal })
      if (settled.status !== 'expired' || attempt === attempts) return settled
    } catch (error) {
      if (!isForgotten(error) || attempt === attempts) throw error
    }
  }
}

/**
 * The same lines of the same run give the same key, so a chunk that was submitted before a crash is the same job after it. The
 * inputs are in it: a file that changed meanwhile is another request, not a mismatch.
 */
function keyOf(runId: string, attempt: number, firstIndex: number, body: unknown): string {
  const parts = JSON.stringify(['millrace-run/1', runId, attempt, firstIndex, body])
  return createHash('sha256').update(parts).digest('base64url')
}

function resultOf(item: InputItem, i: number, count: number, job: SettledJob): LineResult {
  const { index, id, input } = item
  const outputs = Array.isArray(job.output) && job.output.length === count ? job.output : undefined
  if (job.status === 'succeeded' && !outputs) {
    throw new Error(
      `Job ${job.id} succeeded, but its output does not hold one result for each of ${count} items`,
    )
  }
  const output: unknown = outputs?.[i]
  if (isItemError(output)) return { index, id, input, error: output.error }
  if (job.status === 'succeeded') return { index, id, output }
  const error = job.error ?? { code: endCodes[job.status], detail: `the job ended as ${job.status}` }
  return { index, id, input, error }
}

const endCodes = {
  failed: 'inference_failed',
  canceled: 'job_canceled',
  expired: 'job_expired',
} as const satisfies Record<Exclude<SettledJob['status'], 'succeeded'>, ErrorCode>

/** Faults of the request that name items, by the items' places. */
function faultsByItem(error: Error, count: number): Map<number, ItemError> {
  const faults = new Map<number, ItemError>()
  if (!(error instanceof MillraceApiError) || error.retryable) return faults
  for (const { path, code, detail } of error.errors) {
    const at = Number(/^inputs\[(\d+)\](?:\.\w+)?$/.exec(path)?.[1] ?? Number.NaN)
    if (at < count) faults.set(at, { code: knownCode(code), detail })
  }
  return faults
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'invalid_input'
}

function isForgotten(error: unknown): boolean {
  return error instanceof MillraceApiError && (error.code === 'job_not_found' || error.code === 'job_gone')
}

function isItemError(output: unknown): output is { error: ItemError } {
  return typeof output === 'object' && output !== null && 'error' in output
}

function isJob(outcome: unknown): outcome is SettledJob {
  return typeof outcome === 'object' && outcome !== null && 'object' in outcome
}
