/**
 * The fleet's proof of itself: three sentences embedded through HTTP as any client would, their similarities, and
 * the same request again, answered by the cache. Knows the API only from outside.
 */
import { isTerminal, type Job, jobSchema, problemSchema } from '@millrace/contracts'
import { LaunchError } from './launch-error.js'
import { pause } from './pause.js'

export const proofSentences = [
  'A cat is asleep on the warm windowsill.',
  'The kitten naps in the sun by the window.',
  'The central bank raised interest rates again.',
] as const

const askLimitMs = 10_000

export interface ProofAnswer {
  readonly vectors: readonly (readonly number[])[]
  readonly cache: string
  readonly tookMs: number
}

export interface Proof {
  readonly first: ProofAnswer
  readonly second: ProofAnswer
  /** Pairwise cosine similarities of the sentences, row by row. */
  readonly similarities: readonly (readonly number[])[]
}

interface Call {
  url: string
  headers: Record<string, string>
}

/** @param key '' where the fleet has none. @throws LaunchError when the fleet does not answer as it should */
export async function prove(
  { url, key }: { url: string; key: string },
  model: string,
  limitMs: number,
  now: () => number,
  signal: AbortSignal,
): Promise<Proof> {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(limitMs)])
  try {
    const call = { url, headers: key === '' ? {} : { authorization: `Bearer ${key}` } }
    const first = await embed(call, model, now, bounded)
    const second = await embed(call, model, now, bounded)
    const similarities = first.vectors.map((a) => first.vectors.map((b) => cosine(a, b)))
    if (!similarities.flat().every(Number.isFinite))
      throw new LaunchError('an embedding is not made of numbers')
    const same = first.vectors.every((vector, index) => cosine(vector, second.vectors[index] ?? []) > 0.9999)
    if (!same) throw new LaunchError('the second answer differs from the first')
    return { first, second, similarities }
  } catch (error) {
    if (signal.aborted) throw error
    const why = bounded.aborted ? `no answer within ${limitMs / 1000} s` : messageOf(error)
    throw new LaunchError(`The fleet runs but did not prove itself: ${why}.`, { cause: error })
  }
}

async function embed(
  { url, headers }: Call,
  model: string,
  now: () => number,
  signal: AbortSignal,
): Promise<ProofAnswer> {
  const begin = now()
  const answer = await fetch(`${url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=30', ...headers },
    body: JSON.stringify({ model, inputs: proofSentences }),
    signal,
  })
  let job = await readJob(answer)
  while (!isTerminal(job.status)) {
    await pause(100, signal)
    job = await readJob(
      await fetch(new URL(job.urls.get, url), { headers: { prefer: 'wait=30', ...headers }, signal }),
    )
  }
  const tookMs = now() - begin
  return { vectors: vectorsOf(job), cache: answer.headers.get('x-cache') ?? 'unknown', tookMs }
}

async function readJob(answer: Response): Promise<Job> {
  const body: unknown = await answer.json()
  if (answer.ok) return jobSchema.parse(body)
  const problem = problemSchema.safeParse(body)
  throw new LaunchError(
    problem.success ? `${problem.data.code}: ${problem.data.detail}` : `status ${answer.status}`,
  )
}

/** Whether this fleet wants a key that we have not. */
export async function wantsKey(url: string, signal: AbortSignal): Promise<boolean> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(askLimitMs)])
  const { status } = await fetch(`${url}/v1/models`, { signal: limit })
  return status === 401
}

function vectorsOf(job: Job): number[][] {
  if (job.status !== 'succeeded' || !Array.isArray(job.output)) {
    throw new LaunchError(`the job ended as '${job.status}': ${job.error?.detail ?? 'no output'}`)
  }
  const vectors = job.output.map((item) => {
    if (isVector(item)) return item
    throw new LaunchError(`an item has no embedding: ${JSON.stringify(item)}`)
  })
  if (vectors.length === proofSentences.length) return vectors
  throw new LaunchError(`${proofSentences.length} sentences gave ${vectors.length} embeddings`)
}

function isVector(item: unknown): item is number[] {
  return Array.isArray(item) && item.every((value) => typeof value === 'number')
}

/** Cosine of the angle between two vectors, in -1..1; NaN when their lengths differ or one is zero. */
export function cosine(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.NaN
  let dot = 0
  let normA = 0
  let normB = 0
  a.forEach((x, index) => {
    const y = b[index] ?? Number.NaN
    dot += x * y
    normA += x * x
    normB += y * y
  })
  return dot / Math.sqrt(normA * normB)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
