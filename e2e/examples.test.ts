/** Each example runs as its README says, on a real fleet. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { type Fleet, startFleet, waitForLine } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, finished, freshTexts, jobOf, model, post, root, runNode } from './api.js'
import { loopbackEnv, secretsOf } from './receiver.js'

let fleet: Fleet
const example = (path: string) => join(root, 'examples', path)
const run = (path: string, args: string[], env: Record<string, string> = {}) =>
  runNode(example(path), args, { MILLRACE_URL: fleet.url, ...env })

beforeAll(async () => {
  fleet = await startFleet({ root, workers: 1, couriers: 1, env: loopbackEnv })
})
afterAll(() => fleet?.stop())

describe('plain-fetch', () => {
  const file = 'plain-fetch/embed.mjs'

  it('prints the vector of a text', async () => {
    const { code, stdout, stderr } = await run(file, ['The mill turns.'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const output = jobOf(await post(fleet.url, { model, input: 'The mill turns.' })).output as number[]
    const start = output.slice(0, 3).map((x) => x.toFixed(4))
    expect(stdout).toBe(`384 numbers: ${start.join(', ')}, ...\n`)
  })

  it('says what is wrong with a text', async () => {
    const { code, stdout, stderr } = await run(file, ['word '.repeat(300)])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^input_too_long: input: /)
  })
})

describe('semantic-search', () => {
  const file = 'semantic-search/search.mjs'

  it.concurrent.each([
    ['I forgot my login', 'account.txt'],
    ['Can I get a refund?', 'returns.txt'],
    ['How should I store it at home?', 'flour.txt'],
    ['When was it built?', 'visits.txt'],
  ])('finds "%s" in %s', async (question, name) => {
    const { code, stdout, stderr } = await run(file, [question])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [counted, best, ...others] = stdout.trim().split('\n')
    expect(counted).toMatch(/^15 paragraphs, /)
    expect(best).toMatch(new RegExp(`^0\\.\\d{3}  ${name}  `))
    expect(others).toHaveLength(2)
  })

  it('computes each paragraph once, however often it is searched', async () => {
    const { stdout } = await run(file, ['a question that nobody asked before'])
    expect(stdout).toMatch(/^15 paragraphs, 15 of them known to the cache\n/)
  })
})

describe('webhook-receiver', () => {
  it('prints what the fleet tells, once, and refuses what is from anybody else', async () => {
    const [secret = ''] = await secretsOf(fleet)
    const env = { PATH: process.env.PATH ?? '', MILLRACE_WEBHOOK_SECRET: secret }
    const child = spawn(process.execPath, [example('webhook-receiver/receiver.mjs'), '0'], { env })
    try {
      const [, url = ''] = await waitForLine(child, /^listening on (\S+)$/)
      const one = await submitTo(url, freshTexts(1))
      await waitForLine(child, new RegExp(`^job\\.succeeded {2}${one} {2}a vector of 384 numbers$`))
      const many = await submitTo(url, freshTexts(40))
      await waitForLine(child, new RegExp(`^job\\.succeeded {2}${many} {2}/v1/jobs/${many}$`))
      const late = await submitTo(url, freshTexts(512, 60), { timeout_ms: 20 })
      await waitForLine(child, new RegExp(`^job\\.expired {2}${late} {2}\\S`))

      await call(fleet.url, `/v1/jobs/${one}/webhook/redeliver`, { method: 'POST' })
      await waitForLine(child, new RegExp(`^again {4}msg_${one}_0_succeeded$`))

      const headers = { 'webhook-id': 'msg_1', 'webhook-timestamp': `${Math.floor(Date.now() / 1000)}` }
      const forged = { ...headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }
      expect((await call(url, '/', { method: 'POST', body: '{}', headers: forged })).status).toBe(400)
      await waitForLine(child, /^refused: No signature fits$/)
      expect((await call(url, '/', { method: 'POST', body: 'x'.repeat(200_000) })).status).toBe(413)
    } finally {
      child.kill()
    }
  })

  async function submitTo(url: string, texts: string[], more: object = {}): Promise<string> {
    const inputs = texts.length === 1 ? { input: texts[0] } : { inputs: texts }
    const { id } = jobOf(await post(fleet.url, { model, ...inputs, ...more, webhook: { url } }))
    await finished(fleet.url, id)
    return id
  }
})

describe('openai', () => {
  it('tells how alike two sentences are', async () => {
    const { code, stdout } = await runNode(example('openai/similarity.mjs'), [fleet.url])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^0\.\d{3}\s+How do I reset my password\?\s+I forgot my login\.\s+\(17 tokens\)/)
  })
})
