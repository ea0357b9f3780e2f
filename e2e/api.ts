/** What an e2e test does to a fleet: plain HTTP, as a client would, with a limit on every wait. */
import { execFile } from 'node:child_process'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Job, jobSchema, type Problem, problemSchema } from '@millrace/contracts'
import { eventually, type Fleet } from '@millrace/testkit'

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
export const model = 'all-MiniLM-L6-v2'

const limitMs = 60_000

export interface Answer {
  status: number
  headers: Headers
  body: unknown
}

export async function call(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(new URL(path, url), { ...init, signal: AbortSignal.timeout(limitMs) })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return call(url, '/v1/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

/** Every job and every problem that a test reads is checked against the contract on the way. */
export function jobOf(answer: Answer): Job {
  if (answer.status >= 300) throw new Error(`status ${answer.status}: ${JSON.stringify(answer.body)}`)
  return jobSchema.parse(answer.body)
}

export function problemOf(answer: Answer): Problem {
  return problemSchema.parse(answer.body)
}

export async function submit(
  url: string,
  inputs: string[],
  options: Record<string, unknown> = {},
): Promise<Job> {
  return jobOf(await post(url, { model, inputs, options }))
}

/** Polls until the job has its terminal status. A 503 on the way is a Redis that is away, not an answer. */
export function finished(url: string, id: string, timeoutMs = limitMs): Promise<Job> {
  return eventually(
    async () => {
      const answer = await call(url, `/v1/jobs/${id}`)
      if (answer.status === 503) return undefined
      const job = jobOf(answer)
      return job.status === 'queued' || job.status === 'processing' ? undefined : job
    },
    { timeoutMs, what: `the end of job ${id}` },
  )
}

/** The vectors of an array job; an item's error fails the test. */
export function vectorsOf(job: Job): number[][] {
  if (!Array.isArray(job.output))
    throw new Error(`job ${job.id} is ${job.status} without an array of outputs`)
  return job.output.map((item) => {
    if (!Array.isArray(item)) throw new Error(`an item is no vector: ${JSON.stringify(item)}`)
    return item.map(Number)
  })
}

export function cosine(a: readonly number[], b: readonly number[]): number {
  let [dot, aa, bb] = [0, 0, 0]
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? Number.NaN
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return dot / Math.sqrt(aa * bb)
}

/** Texts that no other call has used. */
let serial = 0
export function freshTexts(count: number, words = 12): string[] {
  return Array.from({ length: count }, () => {
    serial += 1
    return `text ${process.pid} ${serial} ${'about rivers and the mills they drive '.repeat(Math.ceil(words / 7))}`.trim()
  })
}

/** Items that the workers which are up gave to their models so far. */
export async function itemsComputed(fleet: Fleet): Promise<number> {
  const each = await Promise.all(fleet.workers.map(({ url }) => metric(url, 'millrace_batch_items_sum')))
  return each.reduce((sum, items) => sum + items, 0)
}

/** The sum over all labels of a metric; 0 where there is none yet. */
export async function metric(url: string, name: string): Promise<number> {
  const text = String((await call(url, '/metrics')).body)
  const values = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}

export interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** A Node program as a user runs it, ended after a minute at the latest. */
export function runNode(file: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((done) => {
    const options = { env: { PATH: process.env.PATH ?? '', ...env }, timeout: limitMs, cwd: root }
    execFile(process.execPath, [file, ...args], options, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr })
    })
  })
}

/** The `millrace` command on this fleet. @throws Error with its words when it fails */
export async function millrace(fleet: Fleet, args: string[]): Promise<string> {
  const env = { QUEUE_REDIS_URL: fleet.queueRedis.url, MILLRACE_URL: fleet.url }
  const { code, stdout, stderr } = await runNode(join(root, 'apps', 'cli', 'bin', 'millrace.js'), args, env)
  if (code !== 0) throw new Error(`millrace ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}
