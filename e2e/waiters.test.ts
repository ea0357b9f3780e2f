/** Ten thousand who wait for one job, each on a connection of its own, at two gateway processes. */
import { connect } from 'node:net'
import { type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { finished, freshTexts, jobOf, model, post, root } from './api.js'

const count = 10_000
/** Connections opened at once: fewer than a listening socket queues. */
const perRound = 200

let fleet: Fleet

beforeAll(async () => {
  fleet = await startFleet({ root, gateways: 2, workers: 0, env: { LOG_LEVEL: 'warn' } })
})
afterAll(() => fleet?.stop())

/** Asks as a client would, and reads until the answer is whole. */
function waitForJob(url: string, id: string): { asked: Promise<void>; answer: Promise<string> } {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const asked = new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    const request = `GET /v1/jobs/${id}?wait=60 HTTP/1.1\r\nhost: ${hostname}\r\nconnection: close\r\n\r\n`
    socket.once('connect', () => socket.write(request, () => resolve()))
  })
  const answer = new Promise<string>((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8').on('data', (part) => {
      text += part
    })
    socket.once('error', reject).once('end', () => resolve(text))
  })
  return { asked, answer }
}

it('ten thousand waits for one job are all answered with it', async () => {
  const { id } = jobOf(await post(fleet.url, { model, input: freshTexts(1)[0] }))
  const answers: Promise<string>[] = []
  while (answers.length < count) {
    const round = Array.from({ length: perRound }, (_, i) =>
      waitForJob(fleet.gateways[i % 2]?.url ?? fleet.url, id),
    )
    answers.push(...round.map(({ answer }) => answer))
    await Promise.all(round.map(({ asked }) => asked))
  }
  await fleet.startWorker()
  const heard = await Promise.all(answers)
  const job = await finished(fleet.url, id)
  expect(job.status).toBe('succeeded')
  const told = heard.map((text) => [text.slice(9, 12), text.slice(text.indexOf('\r\n\r\n') + 4)])
  expect(new Set(told.map(([status]) => status))).toEqual(new Set(['200']))
  expect(new Set(told.map(([, body]) => body)).size).toBe(1)
  expect(JSON.parse(told[0]?.[1] ?? '')).toMatchObject({ id, status: 'succeeded', output: job.output })
})
