/**
 * The client of check-compose.sh: one task per call, exit code 1 and a sentence when the fleet does not do as it should.
 * Answers are compared with the reference vectors that came with the starter model. Uses nothing of the project's code,
 * so that what it proves is what a stranger's client would see.
 * Usage, from the repository: node deploy/check-client.mjs URL API-KEY TASK [ARGUMENT...]; an empty key is not sent
 */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

const [url, apiKey, task, ...rest] = process.argv.slice(2)
const model = 'all-MiniLM-L6-v2'
const { items } = JSON.parse(readFileSync(`models/${model}/parity.json`, 'utf8'))
const known = items.slice(0, 5)
const fillerItems = 1200
const key = apiKey ? { authorization: `Bearer ${apiKey}` } : {}
const open = ['queued', 'processing']

const tasks = {
  /** Right vectors; equal ones from the cache. */
  async embed() {
    const first = await submit({ inputs: known.map(({ text }) => text) }, { prefer: 'wait=30' })
    insist(
      first.answer.status === 200 && first.body.status === 'succeeded',
      'not answered within 30 s',
      first.body,
    )
    insistParity(first.body.output, known)
    const again = await submit({ inputs: known.map(({ text }) => text) })
    insist(again.answer.headers.get('x-cache') === 'hit', 'not known the second time', again.body)
    insistParity(again.body.output, known)
  },

  async 'submit-many'(name) {
    console.log((await submitMany(name)).id)
  },

  /** A job that had work to lose when this was asked ends well. */
  async await(id) {
    const { body } = await call(`/v1/jobs/${id}`)
    insist(isOpen(body), 'the job ended too early to prove anything', body.status)
    await tasks.finish(id)
  },

  /** A job of submit-many ends well: whole and right. */
  async finish(id) {
    const until = Date.now() + 100_000
    const read = () => call(`/v1/jobs/${id}`, { headers: { prefer: 'wait=30' } })
    let { body } = await read()
    while (isOpen(body) && Date.now() < until) {
      if (body.retryable) await new Promise((resolve) => setTimeout(resolve, 500))
      ;({ body } = await read())
    }
    insist(body.status === 'succeeded', 'the job did not succeed', { ...body, output: body.output?.length })
    insist(
      body.output.length === known.length + fillerItems,
      'not as many items as asked',
      body.output.length,
    )
    const whole = body.output.every((item) => Array.isArray(item) && item.length === 384)
    insist(whole, 'an item is missing', body.error)
    insistParity(body.output, known)
  },

  async dashboard(adminKey) {
    const closed = await fetch(`${url}/admin/queues`, { redirect: 'manual' })
    insist([401, 403].includes(closed.status), 'the dashboard answers without a key', closed.status)
    const authorization = `Basic ${Buffer.from(`admin:${adminKey}`).toString('base64')}`
    const shown = await fetch(`${url}/admin/queues`, { headers: { authorization } })
    insist(shown.status === 200, 'the dashboard does not answer with its key', shown.status)
  },

  async docs() {
    const page = await fetch(`${url}/docs`)
    insist(page.status === 200, 'no page of the API', page.status)
    const { body } = await call('/openapi.json')
    insist(body.paths?.['/v1/embeddings'], 'no description of the API', Object.keys(body.paths ?? {}))
  },

  /** Events arrive while the job runs, can be taken up where they were left, and end with the job. */
  async events() {
    const { id } = await submitMany('events')
    const seen = await read(id, {}, ({ event }) => event === 'progress')
    const types = seen.map(({ event }) => event)
    insist(types[0] === 'queued' && types.at(-1) === 'progress', 'not the events expected', types)
    const later = await read(id, { 'last-event-id': seen.at(-1).id })
    const ids = seen.map((event) => event.id)
    insist(!later.some((event) => ids.includes(event.id)), 'an event came twice', later)
    const job = JSON.parse(later.at(-1).data)
    insist(later.at(-1).event === 'succeeded' && job.id === id, 'the stream did not end with the job', job)
    insist(job.output?.length === known.length + fillerItems, 'the job is not whole', job.output?.length)
    insistParity(job.output, known)
  },

  /** A canceled job is over at once, and holds up nobody. */
  async cancel() {
    const { id } = await submitMany('cancel')
    await read(id, {}, ({ event }) => event === 'started')
    const canceled = await call(`/v1/jobs/${id}/cancel`, { method: 'POST' })
    insist(canceled.body.status === 'canceled', 'not canceled', canceled.body)
    const next = await submit({ input: `After the canceled job ${id}` }, { prefer: 'wait=20' })
    insist(next.body.status === 'succeeded', 'the next job had to wait', next.body)
    const { body } = await call(`/v1/jobs/${id}`)
    insist(body.status === 'canceled', 'it did not stay canceled', body.status)
  },

  /** @returns the id of a job whose end a receiver at this address is told */
  async webhook(receiver) {
    const { answer, body } = await submit({
      input: `A webhook to ${receiver}`,
      webhook: { url: receiver },
      metadata: { check: 'compose' },
    })
    insist([200, 202].includes(answer.status), 'not accepted', body)
    console.log(body.id)
  },

  /** What a receiver wrote down, a line for each request: one message of this job, signed with the secret. */
  async 'verify-webhook'(id, secret, log) {
    const messages = readFileSync(log, 'utf8').trim().split('\n').filter(Boolean).map(JSON.parse)
    const mine = messages.filter(({ body }) => body.includes(id))
    insist(mine.length === 1, `${mine.length} messages of the job instead of one`, messages)
    const [{ headers, body }] = mine
    const bytes = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const wanted = `v1,${createHmac('sha256', bytes).update(signed).digest('base64')}`
    insist(headers['webhook-signature'].split(' ').includes(wanted), 'a wrong signature', headers)
    const { type, data } = JSON.parse(body)
    insist(type === 'job.succeeded' && data.id === id, 'not the event expected', body)
    const outcome = async () => (await call(`/v1/jobs/${id}`)).body.webhook?.deliveries.at(-1)?.outcome
    await eventually(10, 'delivery in the job', async () => (await outcome()) === 'delivered', outcome)
  },

  /** As many workers as wanted serve the model, within 60 s. */
  async workers(count) {
    const serving = () => call('/v1/models').then(({ body }) => body.data?.[0]?.workers)
    await eventually(60, `${count} workers`, async () => (await serving()) === Number(count), serving)
  },

  async 'needs-key'() {
    const status = async () => (await fetch(`${url}/v1/models`)).status
    await eventually(15, '401 without a key', async () => (await status()) === 401, status)
    const { answer } = await call('/v1/models', { headers: { authorization: 'Bearer mr_0_0' } })
    insist(answer.status === 401, 'a wrong key is taken', answer.status)
    await tasks.embed()
  },
}

await tasks[task](...rest)

async function call(path, { headers, ...init } = {}) {
  const signal = AbortSignal.timeout(70_000)
  const answer = await fetch(`${url}${path}`, { signal, headers: { ...key, ...headers }, ...init })
  return { answer, body: await answer.json() }
}

function submit(body, headers = {}) {
  return call('/v1/jobs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, ...body }),
  })
}

/** Enough to keep two workers busy while something is done to them. */
async function submitMany(name) {
  const words = 'long enough to keep two workers busy while something is done to them '.repeat(4)
  const filler = Array.from({ length: fillerItems }, (_, i) => `Sentence ${name} number ${i}: ${words}`)
  const { answer, body } = await submit({ inputs: [...known.map(({ text }) => text), ...filler] })
  insist(answer.status === 202, 'not accepted', body)
  return body
}

function isOpen(body) {
  return body.retryable || open.includes(body.status)
}

/** Server-sent events of a job, until one is enough or the stream ends. */
async function read(id, headers = {}, enough = () => false) {
  const answer = await fetch(`${url}/v1/jobs/${id}/events`, {
    headers: { ...key, ...headers },
    signal: AbortSignal.timeout(100_000),
  })
  insist(answer.headers.get('content-type')?.startsWith('text/event-stream'), 'no events', answer.status)
  const events = []
  let text = ''
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + bytes).split('\n\n')
    text = blocks.pop()
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line)?.slice(1))
      if (!fields.every(Boolean)) continue
      const event = Object.fromEntries(fields)
      events.push(event)
      if (enough(event)) return events
    }
  }
  return events
}

async function eventually(limitS, what, isSo, seen) {
  const until = Date.now() + limitS * 1000
  while (!(await isSo())) {
    insist(Date.now() < until, `no ${what} within ${limitS} s`, await seen())
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

function insistParity(output, wanted) {
  wanted.forEach(({ text, embedding }, i) => {
    const right = Array.isArray(output?.[i]) && cosine(output[i], embedding) >= 0.995
    insist(right, `wrong vector of "${text}"`, output?.[i])
  })
}

function insist(condition, what, seen) {
  if (condition) return
  console.error(`${what}: ${JSON.stringify(seen)?.slice(0, 600)}`)
  process.exit(1)
}
