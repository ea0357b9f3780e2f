/**
 * A text to its vector with nothing but `fetch`: submit, wait, and what can go wrong.
 * Usage: [MILLRACE_URL=...] [MILLRACE_KEY=...] node embed.mjs [TEXT]
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

const { MILLRACE_URL: url = 'http://127.0.0.1:8080', MILLRACE_KEY: key } = process.env
const [text = 'The mill turns while the river runs.'] = process.argv.slice(2)

/** The job in the answer. What may pass is tried again for as long as the server says; the rest is thrown. */
async function ask(path, init = {}) {
  for (let tries = 1; ; tries++) {
    const headers = { ...(key && { authorization: `Bearer ${key}` }), ...init.headers }
    const answer = await fetch(url + path, { ...init, headers }).catch((fault) => fault)
    if (answer.ok) return answer.json()
    const mayPass = answer instanceof Error || answer.status === 429 || answer.status === 503
    if (!mayPass || tries === 5) throw answer instanceof Error ? answer : await problemOf(answer)
    await pause(1000 * (answer.headers?.get('retry-after') ?? tries))
  }
}

/** Errors are problem+json (RFC 9457): `code` is for programs, `detail` for people. */
async function problemOf(answer) {
  const problem = await answer.json().catch(() => ({ code: answer.status, detail: 'no answer of Millrace' }))
  return new Error(`${problem.code}: ${problem.detail}`)
}

// Sent twice with one Idempotency-Key it is one job, so trying again is safe.
const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID(), prefer: 'wait=30' }
const body = JSON.stringify({ model: 'all-MiniLM-L6-v2', input: text })
try {
  let job = await ask('/v1/jobs', { method: 'POST', headers, body })
  while (job.status === 'queued' || job.status === 'processing') job = await ask(`/v1/jobs/${job.id}?wait=30`)
  if (job.status !== 'succeeded') throw new Error(`the job ${job.status}: ${job.error?.detail}`)
  const start = job.output.slice(0, 3).map((x) => x.toFixed(4))
  process.stdout.write(`${job.output.length} numbers: ${start.join(', ')}, ...\n`)
} catch (fault) {
  process.stderr.write(`${fault.message}${fault.cause ? ` (${fault.cause.message})` : ''}\n`)
  process.exitCode = 1
}
