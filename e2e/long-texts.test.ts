/** Texts that take longer than anyone waits: cancels, limits and crashes in their middle, on a fleet of real processes. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GeneratedText, generatedTextSchema, type Job } from '@millrace/contracts'
import { eventually, type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, jobOf, metric, post, problemOf, root } from './api.js'
import { openEvents, type ReadEvent } from './event-stream.js'
import { copyWithContext } from './long-context.js'

const model = 'long-writer'
const wait = { prefer: 'wait=30' }
/** Some hours. */
const endless = { max_new_tokens: 900_000, min_new_tokens: 900_000 }
const batchTimeoutMs = 2000

let scratch: string
let fleet: Fleet
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'millrace-long-'))
  await copyWithContext(join(root, 'models/fixtures/tiny-writer'), join(scratch, model), 1_000_000)
  const config = join(scratch, 'millrace.json')
  const models = { [model]: { path: model, task: 'text-generation', dtype: 'fp32' } }
  await writeFile(config, JSON.stringify({ models }))
  fleet = await startFleet({
    root,
    workers: 1,
    env: {
      MILLRACE_CONFIG: config,
      MAX_NEW_TOKENS: '1000000',
      BATCH_TIMEOUT_MS: String(batchTimeoutMs),
      LOCK_MS: '2000',
      STALLED_CHECK_MS: '500',
    },
  })
})
afterAll(async () => {
  await fleet?.stop()
  await rm(scratch, { recursive: true, force: true })
})

let serial = 0
const freshInput = () => `Tell me of mill ${serial++}`
const begin = async (input: string, options: object = endless, more: object = {}) =>
  jobOf(await post(fleet.url, { model, input, options, ...more }))
const cancel = async (id: string) => jobOf(await call(fleet.url, `/v1/jobs/${id}/cancel`, { method: 'POST' }))
const textOf = ({ output }: Job): GeneratedText => generatedTextSchema.strict().parse(output)

/** Reads a job's events until `count` pieces of its text came. */
async function pieces(id: string, count: number): Promise<string> {
  let text = ''
  let left = count
  for await (const event of (await openEvents(fleet.url, `/v1/jobs/${id}/events`)).events) {
    if (event.type !== 'output') continue
    text += event.data.text
    left -= 1
    if (left === 0) return text
  }
  throw new Error(`the events of ${id} ended before ${count} pieces came`)
}

/** The one model process is free again: a short text is answered. */
async function expectFree(): Promise<void> {
  const sent = await post(fleet.url, { model, input: freshInput(), options: { max_new_tokens: 2 } }, wait)
  expect(jobOf(sent).status).toBe('succeeded')
}

describe('a cancel in the middle of a text', () => {
  it('ends it: the model process is free for the next, and nothing of it is kept', async () => {
    const input = freshInput()
    const { id } = await begin(input)
    expect(await pieces(id, 2)).not.toBe('')
    expect((await cancel(id)).status).toBe('canceled')
    await expectFree()
    const again = await post(fleet.url, { model, input, options: endless })
    expect(again.headers.get('x-cache')).toBe('miss')
    await cancel(jobOf(again).id)
    expect(await metric(fleet.workers[0]?.url ?? '', 'millrace_model_process_restarts_total')).toBe(0)
  })

  it('leaves it to whoever else waits for it', async () => {
    const input = freshInput()
    const one = await begin(input)
    const before = await pieces(one.id, 2)
    const other = await begin(input)
    // One who joins hears it from its start.
    expect((await pieces(other.id, 1)).startsWith(before.slice(0, 1))).toBe(true)
    await cancel(one.id)
    const after = await pieces(other.id, 8)
    expect(after.startsWith(before)).toBe(true)
    expect(after.length).toBeGreaterThan(before.length)
    await cancel(other.id)
    await expectFree()
  })
})

describe('a limit in the middle of a text', () => {
  it('of its own ends it with what there is, which is not cached, however long a batch may take', async () => {
    const body = { model, input: freshInput(), options: { ...endless, max_time_ms: batchTimeoutMs * 1.5 } }
    const job = await finished(fleet.url, jobOf(await post(fleet.url, body)).id)
    expect(job).toMatchObject({ status: 'succeeded', attempts: 1 })
    const { generated_text, finish_reason, tokens } = textOf(job)
    expect({ finish_reason, some: generated_text.length > 0, many: tokens.generated > 10 }).toEqual({
      finish_reason: 'time',
      some: true,
      many: true,
    })
    const again = await post(fleet.url, body)
    expect(again.headers.get('x-cache')).toBe('miss')
    await cancel(jobOf(again).id)
    expect(await metric(fleet.workers[0]?.url ?? '', 'millrace_model_process_restarts_total')).toBe(0)
  })

  it('of its job expires the job, and ends the text', async () => {
    const { id } = await begin(freshInput(), endless, { timeout_ms: 1500 })
    expect(await finished(fleet.url, id)).toMatchObject({ status: 'expired', error: { code: 'job_expired' } })
    await expectFree()
  })
})

describe('a death in the middle of a text', () => {
  it.each(['model process', 'worker'] as const)(
    'of the %s: it is written again, and who reads along hears nothing twice',
    async (victim) => {
      const input = freshInput()
      const options = { max_new_tokens: 1500, min_new_tokens: 1500 }
      const { id } = await begin(input, options)
      const events: ReadEvent[] = []
      let killed = false
      for await (const event of (await openEvents(fleet.url, `/v1/jobs/${id}/events`)).events) {
        events.push(event)
        if (event.type !== 'output' || killed) continue
        killed = true
        if (victim === 'worker') {
          await fleet.workers.at(-1)?.kill('SIGKILL')
          await fleet.startWorker()
        } else {
          process.kill(childOf(fleet.workers.at(-1)?.pid ?? 0), 'SIGKILL')
        }
      }
      const last = events.at(-1)
      if (last?.type !== 'succeeded') throw new Error(`it ended as ${last?.type}`)
      const text = events.flatMap((event) => (event.type === 'output' ? event.data.text : [])).join('')
      expect(killed).toBe(true)
      expect(text).toBe(textOf(last.data).generated_text)
      expect(textOf(last.data).tokens.generated).toBe(1500)
    },
  )
})

describe('what cannot be written', () => {
  it.each([
    ['options.max_new_tokens', { max_new_tokens: 1_000_001 }],
    ['options.temperature', { temperature: 0.5 }],
    ['options.top_p', { do_sample: true, top_p: 2 }],
    ['options.stop', { stop: [] }],
    ['options.encoding', { encoding: 'float' }],
    ['options.raw_scores', { raw_scores: true }],
  ])('is refused by %s', async (path, options) => {
    const problem = problemOf(await post(fleet.url, { model, input: 'x', options }))
    expect({ code: problem.code, path: problem.errors[0]?.path }).toEqual({ code: 'invalid_request', path })
  })
})

it('the fleet says what it serves', async () => {
  const models = await eventually(async () => {
    const { body } = await call(fleet.url, '/v1/models')
    const [one] = (body as { data: { facts: unknown }[] }).data
    return one?.facts ? one : undefined
  })
  expect(models).toMatchObject({
    task: 'text-generation',
    facts: { context: 1_000_000, max_tokens: 999_999, batching: { mode: 'one_at_a_time' } },
  })
})

function childOf(pid: number): number {
  return Number(
    execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
      .trim()
      .split('\n')[0],
  )
}
