/** Every way to get a result, on a whole fleet: what is submitted at one replica is read at the other. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { JobFailedError, Millrace, MillraceApiError } from '@millrace/client'
import { jobListSchema } from '@millrace/contracts'
import { eventually, type Fleet, startFleet } from '@millrace/testkit'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  call,
  cosine,
  finished,
  freshTexts,
  itemsComputed,
  jobOf,
  metric,
  millrace,
  model,
  post,
  problemOf,
  root,
  submit,
  vectorsOf,
} from './api.js'
import { allOf, openEvents, type ReadEvent } from './event-stream.js'
import { closeReceivers, loopbackEnv, secretsOf, startReceiver, verified } from './receiver.js'

let fleet: Fleet
/** Where jobs are submitted, and where they are read. */
let here = ''
let there = ''

beforeAll(async () => {
  const env = { ...loopbackEnv, PUBLIC_URL: 'https://millrace.example' }
  fleet = await startFleet({ root, gateways: 2, workers: 2, couriers: 2, env })
  const [first, second] = fleet.gateways
  here = first?.url ?? ''
  there = second?.url ?? ''
})
afterAll(async () => {
  await closeReceivers()
  await fleet?.stop()
})

/** What the workers need seconds for. */
const longWork = () => freshTexts(512, 60)

describe('waiting', () => {
  it('is for a job that another replica took', async () => {
    const job = await submit(here, freshTexts(3))
    expect(job.status).toBe('queued')
    const [byQuery, byHeader] = await Promise.all([
      call(there, `/v1/jobs/${job.id}?wait=30`),
      call(there, `/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } }),
    ])
    expect(jobOf(byQuery)).toMatchObject({ id: job.id, status: 'succeeded' })
    expect(vectorsOf(jobOf(byQuery))).toHaveLength(3)
    expect(jobOf(byHeader).output).toEqual(jobOf(byQuery).output)
    expect(byHeader.headers.get('preference-applied')).toBe('wait=30')
  })

  it('ends with the job as it is when the time is up', async () => {
    const job = await submit(here, longWork())
    const answer = await call(there, `/v1/jobs/${job.id}?wait=1`)
    expect(answer.status).toBe(200)
    expect(jobOf(answer)).toMatchObject({ status: 'processing', output: null })
    const canceled = await call(there, `/v1/jobs/${job.id}/cancel`, { method: 'POST' })
    expect(jobOf(canceled).status).toBe('canceled')
  })
})

describe('the event stream', () => {
  it('goes on at another replica where it was cut: nothing twice, nothing missing', async () => {
    const job = await submit(here, freshTexts(256, 20))
    const before: ReadEvent[] = []
    const cut = await openEvents(here, `/v1/jobs/${job.id}/events`)
    for await (const event of cut.events) {
      before.push(event)
      if (event.type === 'progress') break
    }
    const headers = { 'last-event-id': before.at(-1)?.id ?? '' }
    const after = await allOf(await openEvents(there, `/v1/jobs/${job.id}/events`, { headers }))
    const whole = await allOf(await openEvents(there, `/v1/jobs/${job.id}/events`))

    const all = [...before, ...after]
    expect(all.map(({ id }) => id)).toEqual(whole.map(({ id }) => id))
    expect(all.map(({ type }) => type)).toEqual([
      'queued',
      'started',
      ...Array(7).fill('progress'),
      'succeeded',
    ])
    const done = all.flatMap((event) => (event.type === 'progress' ? event.data.done : []))
    expect(done).toEqual([32, 64, 96, 128, 160, 192, 224])
    const last = all.at(-1)
    expect(last?.data).toEqual((await call(here, `/v1/jobs/${job.id}`)).body)

    const over = { 'last-event-id': last?.id ?? '' }
    expect((await openEvents(there, `/v1/jobs/${job.id}/events`, { headers: over })).status).toBe(204)
  })

  it('is the answer to a submit that asks for it', async () => {
    const body = JSON.stringify({ model, input: freshTexts(1)[0] })
    const headers = { 'content-type': 'application/json' }
    const events = await allOf(await openEvents(here, '/v1/jobs', { method: 'POST', headers, body }))
    expect(events.map(({ type }) => type)).toEqual(['queued', 'started', 'succeeded'])
    const known = await allOf(await openEvents(there, '/v1/jobs', { method: 'POST', headers, body }))
    expect(known.map(({ type }) => type)).toEqual(['succeeded'])
  })
})

describe('a webhook', () => {
  it('tells of start and end, signed, and the job says that it was delivered', async () => {
    const [secret = ''] = await secretsOf(fleet)
    const receiver = await startReceiver()
    const webhook = { url: `${receiver.url}?for=me`, events: ['job.started', 'job.succeeded'] }
    const metadata = { order: '17' }
    const submitted = jobOf(await post(here, { model, input: freshTexts(1)[0], webhook, metadata }))
    const got = (await receiver.arrived(2)).map((one) => verified(one, secret))

    expect(receiver.got.map(({ path }) => path)).toEqual(['/hook?for=me', '/hook?for=me'])
    expect(got.map(({ type }) => type).sort()).toEqual(['job.started', 'job.succeeded'])
    const told = got.find(({ type }) => type === 'job.succeeded')
    const read = await finished(there, submitted.id)
    expect(told?.job).toMatchObject({ id: submitted.id, status: 'succeeded', metadata })
    expect(told?.job.output).toEqual(read.output)
    expect(told?.timestamp).toBe(read.completed_at)

    const deliveries = await eventually(async () => {
      const { webhook } = jobOf(await call(there, `/v1/jobs/${submitted.id}`))
      return webhook?.deliveries.length === 2 && webhook.deliveries
    })
    for (const one of deliveries) expect(one).toMatchObject({ outcome: 'delivered', status_code: 204 })
    expect(deliveries.map((one) => one.webhook_id).sort()).toEqual(got.map(({ id }) => id).sort())
  })

  it('of a large output says where to read it', async () => {
    const [secret = ''] = await secretsOf(fleet)
    const receiver = await startReceiver()
    const job = jobOf(await post(here, { model, inputs: freshTexts(40), webhook: { url: receiver.url } }))
    const [message] = (await receiver.arrived(1)).map((one) => verified(one, secret))
    expect(message?.job).toMatchObject({ id: job.id, status: 'succeeded', output: null })
    expect(message?.outputUrl).toBe(`https://millrace.example/v1/jobs/${job.id}`)
  })

  it('is told also where every item is known at submit', async () => {
    const [input = ''] = freshTexts(1)
    await post(here, { model, input }, { prefer: 'wait=30' })
    const receiver = await startReceiver()
    const answer = await post(there, { model, input, webhook: { url: receiver.url } })
    expect([answer.status, answer.headers.get('x-cache')]).toEqual([200, 'hit'])
    const [message] = (await receiver.arrived(1)).map((one) => JSON.parse(one.body))
    expect(message).toMatchObject({ type: 'job.succeeded', data: { id: jobOf(answer).id } })
  })

  it('to an address inside is refused at submit', async () => {
    const url = 'http://169.254.169.254/latest/meta-data'
    const answer = await post(here, { model, input: 'x', webhook: { url } })
    expect(answer.status).toBe(422)
    expect(problemOf(answer)).toMatchObject({ code: 'webhook_refused', errors: [{ path: 'webhook.url' }] })
  })
})

describe('cancel', () => {
  it('in the middle of a job ends it everywhere, and the workers go on with other work at once', async () => {
    const receiver = await startReceiver()
    const before = await itemsComputed(fleet)
    const job = jobOf(await post(here, { model, inputs: longWork(), webhook: { url: receiver.url } }))
    const waiting = call(there, `/v1/jobs/${job.id}?wait=60`)
    const { events } = await openEvents(there, `/v1/jobs/${job.id}/events`)
    let last: ReadEvent | undefined
    for await (const event of events) {
      // At the replica that did not take it.
      if (event.type === 'progress' && last?.type === 'started') {
        expect(jobOf(await call(there, `/v1/jobs/${job.id}/cancel`, { method: 'POST' })).status).toBe(
          'canceled',
        )
      }
      last = event
    }
    expect(last).toMatchObject({ type: 'canceled', data: { id: job.id, error: { code: 'job_canceled' } } })
    expect(jobOf(await waiting).status).toBe('canceled')

    const next = jobOf(await post(here, { model, inputs: freshTexts(8) }, { prefer: 'wait=30' }))
    expect(next.status).toBe('succeeded')
    // What a worker takes, it takes in order: whatever it was to compute for the canceled job is behind it.
    const computed = (await itemsComputed(fleet)) - before - 8
    expect(computed).toBeGreaterThanOrEqual(32)
    expect(computed).toBeLessThan(160)
    for (const { url } of fleet.workers) {
      expect((await call(url, '/readyz')).status).toBe(200)
      expect(await metric(url, 'millrace_model_process_restarts_total')).toBe(0)
    }
    const [message] = await receiver.arrived(1)
    expect(JSON.parse(message?.body ?? '')).toMatchObject({ type: 'job.canceled', data: { id: job.id } })

    const again = await call(here, `/v1/jobs/${job.id}/cancel`, { method: 'POST' })
    expect(jobOf(again).completed_at).toBe(jobOf(await call(here, `/v1/jobs/${job.id}`)).completed_at)
  })

  it('of a job that ended otherwise is refused', async () => {
    const done = jobOf(await post(here, { model, inputs: freshTexts(1) }, { prefer: 'wait=30' }))
    const answer = await call(there, `/v1/jobs/${done.id}/cancel`, { method: 'POST' })
    expect({ status: answer.status, code: problemOf(answer).code }).toEqual({
      status: 409,
      code: 'job_settled',
    })
  })
})

describe('a limit', () => {
  it('that passes expires the job; each retry goes on from what was computed, until it is done', async () => {
    const texts = freshTexts(96, 60)
    const before = await itemsComputed(fleet)
    // Long enough for a batch or two, far too short for all of it.
    const body = { model, inputs: texts, timeout_ms: 150 }
    const first = jobOf(await post(here, body, { prefer: 'wait=30' }))
    expect(first).toMatchObject({ status: 'expired', output: null, error: { code: 'job_expired' } })
    let job = first
    for (let i = 0; i < 60 && job.status === 'expired'; i++) {
      const retried = await call(there, `/v1/jobs/${job.id}/retry`, { method: 'POST' })
      expect(retried.status).toBe(202)
      job = jobOf(await call(here, `/v1/jobs/${job.id}?wait=30`))
    }
    expect(job.status).toBe('succeeded')
    expect(vectorsOf(job)).toHaveLength(96)
    // What was in a model process when the limit passed is finished, cached, and found.
    expect((await itemsComputed(fleet)) - before).toBe(96)
    const answer = await call(here, `/v1/jobs/${job.id}/retry`, { method: 'POST' })
    expect(problemOf(answer).code).toBe('job_not_retryable')
  })
})

describe('priority', () => {
  it('lets a job of 0 pass those of 9 that were there before it', async () => {
    const patient = await Promise.all(
      Array.from({ length: 4 }, async () => {
        return jobOf(await post(here, { model, inputs: freshTexts(128, 40), priority: 9 }))
      }),
    )
    const urgent = jobOf(await post(there, { model, inputs: freshTexts(8) }, { prefer: 'wait=30' }))
    const others = await Promise.all(patient.map(async ({ id }) => jobOf(await call(here, `/v1/jobs/${id}`))))
    expect(urgent.status).toBe('succeeded')
    expect(others.filter(({ status }) => status !== 'succeeded').length).toBeGreaterThanOrEqual(3)
    await Promise.all(others.map(({ id }) => call(there, `/v1/jobs/${id}/cancel`, { method: 'POST' })))
  })
})

describe('the list', () => {
  it('of either replica holds the jobs of both, newest first, by page and by status, without outputs', async () => {
    const jobs = []
    for (const [i, url] of [here, there, here, there].entries()) {
      const body = { model, inputs: freshTexts(1), metadata: { number: String(i) } }
      jobs.push(jobOf(await post(url, body, { prefer: 'wait=30' })))
    }
    const page = async (query: string) => jobListSchema.parse((await call(there, `/v1/jobs?${query}`)).body)
    const first = await page('limit=3&status=succeeded')
    const second = await page(`limit=3&status=succeeded&cursor=${first.next_cursor}`)
    const listed = [...first.data, ...second.data].slice(0, 4)
    expect(listed.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id).reverse())
    expect(listed.map(({ metadata }) => metadata.number)).toEqual(['3', '2', '1', '0'])
    expect(listed[0]).not.toHaveProperty('output')
    const canceled = await page('status=canceled&limit=100')
    expect(canceled.data.length).toBeGreaterThan(0)
    expect(canceled.data.every(({ status }) => status === 'canceled')).toBe(true)
  })
})

describe('a submit that is sent again', () => {
  it('20 times at once, over two replicas, with one Idempotency-Key is one job', async () => {
    const before = await itemsComputed(fleet)
    const inputs = freshTexts(40)
    const headers = { 'idempotency-key': 'race-1', prefer: 'wait=30' }
    const body = JSON.stringify({ model, inputs, metadata: { race: '1' } })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => post(i % 2 ? here : there, body, headers)),
    )
    const jobs = answers.map(jobOf)
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(1)
    expect(jobs.every(({ status }) => status === 'succeeded')).toBe(true)
    for (const job of jobs) expect(job.output).toEqual(jobs[0]?.output)
    const list = jobListSchema.parse((await call(here, '/v1/jobs?limit=100')).body)
    expect(list.data.filter(({ metadata }) => metadata.race === '1')).toHaveLength(1)
    expect((await itemsComputed(fleet)) - before).toBe(40)

    const other = await post(here, { model, inputs: freshTexts(1) }, headers)
    expect({ status: other.status, code: problemOf(other).code }).toEqual({
      status: 422,
      code: 'idempotency_mismatch',
    })
  })

  it('by PUT under an id of the client’s own is that job', async () => {
    const id = '0190b0e0-1111-7000-8000-00000000e2e0'
    const body = JSON.stringify({ model, inputs: freshTexts(2) })
    const put = (url: string) =>
      call(url, `/v1/jobs/${id}?wait=30`, {
        method: 'PUT',
        body,
        headers: { 'content-type': 'application/json' },
      })
    const [first, second] = (await Promise.all([put(here), put(there)])).map(jobOf)
    expect(first).toMatchObject({ id, status: 'succeeded' })
    expect(second?.output).toEqual(first?.output)
    expect(jobOf(await put(there)).created_at).toBe(first?.created_at)
  })
})

describe('clients', () => {
  it('of OpenAI get the same vectors', async () => {
    const [a = '', b = ''] = freshTexts(2)
    const client = new OpenAI({ baseURL: `${here}/v1`, apiKey: 'any' })
    const { data, usage } = await client.embeddings.create({ model, input: [a, b] })
    const vectors = vectorsOf(jobOf(await post(there, { model, inputs: [a, b] })))
    for (const [i, { embedding }] of data.entries()) {
      expect(cosine(embedding, vectors[i] ?? [])).toBeGreaterThan(0.999999)
    }
    expect(usage.prompt_tokens).toBeGreaterThan(20)
    const refused = client.embeddings.create({ model: 'nope', input: a })
    await expect(refused).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  })

  it('of our own run, stream, wait, cancel, retry and list', async () => {
    const [client, other] = [new Millrace({ baseUrl: here }), new Millrace({ baseUrl: `${there}/` })]
    const inputs = freshTexts(40)
    const { id, output } = await client.run({ model, inputs, metadata: { by: 'client' } })
    expect(output).toHaveLength(40)
    expect((await other.get(id)).output).toEqual(output)
    const [newest] = [(await other.list({ pageSize: 1 }).next()).value]
    expect(newest).toMatchObject({ id, metadata: { by: 'client' } })

    const types: string[] = []
    const streamed = await client.submit({ model, inputs: freshTexts(64, 40) })
    for await (const { type } of other.stream(streamed.id)) types.push(type)
    expect(types).toEqual(['queued', 'started', 'progress', 'succeeded'])

    const long = await client.submit({ model, inputs: longWork() })
    const settled = other.wait(long.id)
    expect((await client.cancel(long.id)).status).toBe('canceled')
    expect((await settled).status).toBe('canceled')
    await expect(client.retry(long.id)).rejects.toMatchObject({ code: 'job_not_retryable' })

    const late = client.run({ model, inputs: longWork(), timeout_ms: 50 })
    await expect(late).rejects.toBeInstanceOf(JobFailedError)
    await expect(late).rejects.toMatchObject({ job: { status: 'expired' } })
    const unknown = client.run({ model: 'nope', input: 'x' })
    await expect(unknown).rejects.toBeInstanceOf(MillraceApiError)
  })

  it('of the command line run a file, line by line in its order', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'millrace-e2e-'))
    try {
      const [input, output] = [join(dir, 'in.jsonl'), join(dir, 'out.jsonl')]
      const lines = freshTexts(100).map((text, i) => ({ id: `row ${i}`, input: text }))
      await writeFile(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      await millrace(fleet, ['run', '--model', model, '--quiet', '--output', output, input])
      const rows = (await readFile(output, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      expect(rows.map(({ id }) => id)).toEqual(lines.map(({ id }) => id))
      const [alone] = vectorsOf(jobOf(await post(there, { model, inputs: [lines[71]?.input] })))
      expect(rows[71].output).toEqual(alone)
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})

// The last of this file: some seconds after the first key is made, every gateway needs one.
describe('keys', () => {
  it('part tenants: what one submits, nobody else reads, lists, cancels or is told of', async () => {
    // Gateways that need a key from the start: those above notice the first one after some seconds.
    const doors = await Promise.all([1, 2].map(() => fleet.startGateway({ KEYS_REQUIRED: 'true' })))
    const [first = '', second = ''] = doors.map(({ url }) => url)
    const create = async (tenant: string) =>
      (await millrace(fleet, ['keys', 'create', '--tenant', tenant])).trim()
    const [acme = '', globex = ''] = await Promise.all(['acme', 'globex'].map(create))
    const as = (key: string) => ({ authorization: `Bearer ${key}` })
    const status = async (path: string, key: string, method = 'GET') =>
      (await call(second, path, { method, headers: as(key) })).status
    expect((await call(first, '/v1/models')).status).toBe(401)

    const receiver = await startReceiver()
    const [text = ''] = freshTexts(1)
    const headers = { ...as(acme), 'idempotency-key': 'one', prefer: 'wait=30' }
    const own = await post(first, { model, inputs: [text], webhook: { url: receiver.url } }, headers)
    const { id } = jobOf(own)
    expect(await status(`/v1/jobs/${id}`, acme)).toBe(200)
    expect(await status(`/v1/jobs/${id}`, globex)).toBe(404)
    expect(await status(`/v1/jobs/${id}/events`, globex)).toBe(404)
    expect(await status(`/v1/jobs/${id}/cancel`, globex, 'POST')).toBe(404)
    expect(await status(`/v1/jobs/${id}/webhook/redeliver`, globex, 'POST')).toBe(404)
    const list = async (key: string) =>
      jobListSchema.parse((await call(second, '/v1/jobs', { headers: as(key) })).body).data
    expect((await list(acme)).map((job) => job.id)).toEqual([id])
    expect(await list(globex)).toEqual([])

    // The same Idempotency-Key of another tenant is another job, and its text is computed for it anew.
    const theirs = await post(second, { model, inputs: [text] }, { ...headers, ...as(globex) })
    expect(theirs.headers.get('x-cache')).toBe('miss')
    expect(jobOf(theirs).id).not.toBe(id)

    const [message] = await receiver.arrived(1)
    const [acmes = '', globexes = ''] = (
      await Promise.all(['acme', 'globex'].map((tenant) => secretsOf(fleet, tenant)))
    ).flat()
    expect(verified(message, acmes).job.id).toBe(id)
    expect(() => verified(message, globexes)).toThrow(/signature/i)
  })
})
