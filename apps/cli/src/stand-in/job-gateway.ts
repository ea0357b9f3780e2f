/**
 * A gateway that speaks the wire and computes nothing: jobs by idempotency key, waits, refusals. It counts how often each input was
 * computed, and how many jobs were under way at once. For tests only.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ErrorCode, errorCodes, type FieldError, type Job, type JobStatus } from '@millrace/contracts'

export interface Submitted {
  readonly id: string
  readonly key: string
  readonly body: { model: string; input?: string; inputs?: string[]; options?: { encoding?: string } }
}

export interface JobGateway {
  readonly url: string
  /** How often each input was computed. */
  readonly computed: Map<string, number>
  /** Jobs that were made, without those that were known by their key. */
  readonly jobs: Submitted[]
  /** Headers of the last request. */
  lastHeaders: IncomingMessage['headers']
  /** Most jobs that were unsettled at once. */
  mostUnderWay: number
  /** Jobs stay queued until `release`. */
  hold: boolean
  /** What the next submits are refused with, in order. */
  readonly refusals: { code: ErrorCode; retryAfterS?: number }[]
  readonly limits: { items: number; bodyBytes: number }
  /** How the jobs with these inputs end; by default they succeed. */
  readonly endings: Map<string, Exclude<JobStatus, 'queued' | 'processing' | 'succeeded'> | ErrorCode>
  readonly models: unknown[]
  ready: boolean
  /** Resolves when so many jobs were made. */
  submitted(count: number): Promise<void>
  /** Resolves when so many GETs, from now on, were answered or are being held at paths that begin so. */
  asked(path: string, count?: number): Promise<void>
  release(): void
  close(): Promise<void>
}

/** The vector of a text: anything that tells texts apart, and needs rounding. */
export function vectorOf(text: string): number[] {
  return [text.length / 10, [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % 1000, 7) / 1000]
}

function base64Of(values: readonly number[]): string {
  return Buffer.from(Float32Array.from(values).buffer).toString('base64')
}

export async function jobGateway(): Promise<JobGateway> {
  const jobs = new Map<string, { submitted: Submitted; settled: boolean }>()
  const byKey = new Map<string, string>()
  const paths: string[] = []
  let changed: (() => void)[] = []
  const change = () => {
    const listeners = changed
    changed = []
    for (const listener of listeners) listener()
  }
  const until = async (met: () => boolean) => {
    while (!met()) await new Promise<void>((resolve) => changed.push(resolve))
  }

  const gateway: Omit<JobGateway, 'url'> = {
    computed: new Map(),
    jobs: [],
    lastHeaders: {},
    mostUnderWay: 0,
    hold: false,
    refusals: [],
    limits: { items: 2048, bodyBytes: 4 * 1024 * 1024 },
    endings: new Map(),
    models: [{ id: 'm', object: 'model', task: 'feature-extraction', workers: 2, facts: null }],
    ready: true,
    submitted: (count) => until(() => gateway.jobs.length >= count),
    asked: (path, count = 1) => {
      const before = paths.length
      return until(() => paths.slice(before).filter((one) => one.startsWith(path)).length >= count)
    },
    release() {
      gateway.hold = false
      for (const id of jobs.keys()) settle(id)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }

  function settle(id: string): void {
    const job = jobs.get(id)
    if (!job || job.settled) return
    job.settled = true
    for (const input of inputsOf(job.submitted)) {
      if (gateway.endings.has(input)) continue
      gateway.computed.set(input, (gateway.computed.get(input) ?? 0) + 1)
    }
    change()
  }

  function submit(key: string, body: Submitted['body']): string {
    const known = byKey.get(key)
    if (known !== undefined) return known
    const submitted = { id: randomUUID(), key, body }
    byKey.set(key, submitted.id)
    jobs.set(submitted.id, { submitted, settled: false })
    gateway.jobs.push(submitted)
    const underWay = [...jobs.values()].filter(({ settled }) => !settled).length
    gateway.mostUnderWay = Math.max(gateway.mostUnderWay, underWay)
    if (!gateway.hold) setImmediate(() => settle(submitted.id))
    change()
    return submitted.id
  }

  function viewOf(id: string): Job {
    const { submitted, settled } = jobs.get(id) ?? { submitted: undefined, settled: false }
    if (!submitted) throw new Error(`no job ${id}`)
    const inputs = inputsOf(submitted)
    const encoded = submitted.body.options?.encoding === 'base64'
    const outputs = inputs.map((input) => {
      const ending = gateway.endings.get(input)
      if (ending !== undefined && ending in errorCodes)
        return { error: { code: ending, detail: `no ${input}` } }
      return encoded ? base64Of(vectorOf(input)) : vectorOf(input)
    })
    const ending = inputs
      .map((input) => gateway.endings.get(input))
      .find((one) => one && !(one in errorCodes))
    const status = settled ? ((ending ?? 'succeeded') as JobStatus) : 'queued'
    const at = '2026-01-01T00:00:00.000Z'
    return {
      id,
      object: 'job',
      status,
      model: submitted.body.model,
      created_at: at,
      started_at: null,
      completed_at: settled ? '2026-01-01T00:00:00.012Z' : null,
      expires_at: at,
      output:
        status !== 'succeeded' ? null : ((submitted.body.inputs ? outputs : outputs[0]) as Job['output']),
      error: null,
      progress: { done: settled ? inputs.length : 0, total: inputs.length },
      queue: null,
      metrics: {
        queue_ms: null,
        tokenize_ms: null,
        predict_ms: null,
        batch_size: null,
        cache: { hits: 0, misses: inputs.length, joined: 0 },
      },
      attempts: 0,
      priority: 0,
      metadata: {},
      webhook: null,
      urls: { get: '/', events: '/', cancel: '/' },
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
    const url = new URL(request.url ?? '', 'http://gateway')
    const [, , , id = '', action] = url.pathname.split('/')
    gateway.lastHeaders = request.headers
    if (request.method === 'GET') paths.push(url.pathname)
    change()
    if (url.pathname === '/v1/models') return send(response, 200, { object: 'list', data: gateway.models })
    if (url.pathname === '/readyz') {
      const body = { ready: gateway.ready, queue_redis: gateway.ready, cache_redis: true }
      return send(response, gateway.ready ? 200 : 503, body)
    }
    if (id === '') {
      const refusal = gateway.refusals.shift()
      if (refusal) return refuse(response, refusal.code, [], refusal.retryAfterS)
      if (text.length > gateway.limits.bodyBytes) return refuse(response, 'body_too_large')
      const body = JSON.parse(text) as Submitted['body']
      const faults = faultsOf(body, gateway.limits.items)
      const [fault] = faults
      if (fault) return refuse(response, fault.code, faults)
      const job = submit(String(request.headers['idempotency-key'] ?? randomUUID()), body)
      if (request.headers.prefer) await until(() => jobs.get(job)?.settled === true)
      return send(response, jobs.get(job)?.settled ? 200 : 202, viewOf(job))
    }
    if (!jobs.has(id)) return refuse(response, 'job_not_found')
    if (action === 'cancel') {
      if (jobs.get(id)?.settled) return refuse(response, 'job_settled')
      return send(response, 200, { ...viewOf(id), status: 'canceled' })
    }
    if (url.searchParams.has('wait')) await until(() => jobs.get(id)?.settled === true)
    return send(response, 200, viewOf(id))
  }

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    await answer(request, response, Buffer.concat(chunks).toString())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(gateway, { url: `http://127.0.0.1:${port}` })
}

function inputsOf({ body }: Submitted): string[] {
  return body.inputs ?? [body.input ?? '']
}

function faultsOf({ model, inputs = [] }: Submitted['body'], maxItems: number): FieldError[] {
  if (model !== 'm') return [{ path: 'model', code: 'model_not_found', detail: `no model '${model}'` }]
  if (inputs.length > maxItems) return [{ path: 'inputs', code: 'too_many_items', detail: 'too many' }]
  return inputs.flatMap((input, i) =>
    input === '' ? [{ path: `inputs[${i}]`, code: 'empty_input' as const, detail: 'is empty' }] : [],
  )
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function refuse(
  response: ServerResponse,
  code: ErrorCode,
  errors: FieldError[] = [],
  retryAfterS?: number,
): void {
  const { status, title, retryable } = errorCodes[code]
  if (retryAfterS !== undefined) response.setHeader('retry-after', String(retryAfterS))
  const detail = errors[0]?.detail ?? `what ${code} is about`
  const type = `urn:millrace:error:${code}`
  const body = { type, title, status, detail, code, request_id: 'request-1', retryable, errors }
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(body))
}
