/** Texts that models write, on a fleet of real processes, against what the Python reference wrote. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type GeneratedText, generatedTextSchema, type Job } from '@millrace/contracts'
import { type Fleet, startFleet } from '@millrace/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finished, itemsComputed, jobOf, post, problemOf, root } from './api.js'
import { allOf, openEvents, type ReadEvent } from './event-stream.js'

interface Written {
  text: string
  params: Record<string, number>
  input_ids: number[]
  output_ids: number[]
  generated_text: string
  finish_reason: 'stop' | 'length'
}
const referenceOf = (name: string) =>
  JSON.parse(readFileSync(join(root, 'models/fixtures', name, 'reference.json'), 'utf8')) as {
    items: Written[]
    summary: Written
    chat: Written & { messages: { role: string; content: string }[] }
  }
const written = referenceOf('tiny-writer')
const rewritten = referenceOf('tiny-rewriter')
const wait = { prefer: 'wait=30' }
const writer = 'tiny-writer'

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet({
    root,
    workers: 1,
    env: {
      MILLRACE_CONFIG: join(root, 'models/fixtures/millrace.json'),
      MILLRACE_MODELS: `${writer},tiny-rewriter,tiny-summarizer,tiny-translator`,
      MAX_NEW_TOKENS: '100000',
      // What the cache Redis forgets, nobody knows.
      LRU_BYTES: '0',
    },
  })
})
afterAll(() => fleet.stop())

function textOf(job: Job): GeneratedText {
  expect(job.status).toBe('succeeded')
  return generatedTextSchema.strict().parse(job.output)
}

function asReference({ generated_text, finish_reason, input_ids, output_ids }: Written): GeneratedText {
  const tokens = { prompt: input_ids.length, generated: output_ids.length }
  return { generated_text, finish_reason, tokens }
}

/** The pieces put together, each of which goes on where the one before ended. */
function piecesOf(events: readonly ReadEvent[]): string {
  let text = ''
  for (const event of events) {
    if (event.type !== 'output') continue
    expect(event.data).toMatchObject({ index: 0, start: Buffer.byteLength(text) })
    text += event.data.text
  }
  return text
}

describe('a generating model', () => {
  it.each([
    [writer, written.items],
    ['tiny-rewriter', rewritten.items],
    ['tiny-summarizer', [rewritten.summary]],
    ['tiny-translator', rewritten.items.slice(0, 2)],
  ])('%s writes what the reference writes', async (model, items) => {
    const jobs = await Promise.all(
      items.map(async ({ text, params }) => {
        const sent = await post(fleet.url, { model, input: text, options: params }, wait)
        return finished(fleet.url, jobOf(sent).id)
      }),
    )
    expect(jobs.map(textOf)).toEqual(items.map(asReference))
  })

  it('writes many texts of one job, each by itself', async () => {
    const items = written.items.filter(({ params }) => params.repetition_penalty === 1.3)
    const inputs = items.map(({ text }) => text)
    const sent = await post(fleet.url, { model: writer, inputs, options: items[0]?.params }, wait)
    const job = await finished(fleet.url, jobOf(sent).id)
    expect(job.output).toEqual(items.map(asReference))
  })

  it('reads the messages of a chat by its own template', async () => {
    const { messages, params, ...chat } = written.chat
    const sent = await post(fleet.url, { model: writer, input: { messages }, options: params }, wait)
    expect(textOf(jobOf(sent))).toEqual(asReference({ ...chat, params }))
    const refused = [
      [{ model: 'tiny-rewriter', input: { messages } }, 'input'],
      [{ model: writer, inputs: ['a', { messages: [] }] }, 'inputs[1]'],
      [{ model: writer, input: { messages: [{ role: 'user', content: '' }] } }, 'input.messages[0].content'],
    ] as const
    for (const [body, path] of refused) {
      const { errors } = problemOf(await post(fleet.url, body))
      expect(errors[0]?.path).toBe(path)
    }
  })

  it('is asked once for the same text, and its answer is the same', async () => {
    const body = { model: writer, input: 'The mill and the river', options: { max_new_tokens: 20 } }
    const first = jobOf(await post(fleet.url, body, wait))
    const before = await itemsComputed(fleet)
    const again = await post(fleet.url, body, wait)
    expect(again.headers.get('x-cache')).toBe('hit')
    expect(jobOf(again).output).toEqual(first.output)
    expect(await itemsComputed(fleet)).toBe(before)
  })
})

describe('drawing', () => {
  const options = { max_new_tokens: 16, do_sample: true, temperature: 3, top_k: 300 }
  const draw = async (extra: object, headers = wait) => {
    const sent = await post(
      fleet.url,
      { model: writer, input: 'Draw', options: { ...options, ...extra } },
      headers,
    )
    return { cache: sent.headers.get('x-cache'), text: textOf(jobOf(sent)) }
  }

  it('without a seed is another text each time, never cached, also inside one job', async () => {
    const two = [await draw({}), await draw({})]
    expect(two.map(({ cache }) => cache)).toEqual(['miss', 'miss'])
    const many = await post(fleet.url, { model: writer, inputs: ['Draw', 'Draw', 'Draw'], options }, wait)
    const texts = [...two.map(({ text }) => text), ...(jobOf(many).output as GeneratedText[])]
    expect(new Set(texts.map(({ generated_text }) => generated_text)).size).toBe(5)
    expect(new Set(texts.map(({ seed }) => seed)).size).toBe(5)
  })

  it('with a seed is the same text, from the cache; the seed of a drawn text gives it again', async () => {
    const [first, again] = [await draw({ seed: 7 }), await draw({ seed: 7 })]
    expect([first.cache, again.cache]).toEqual(['miss', 'hit'])
    expect(again.text).toEqual(first.text)
    const drawn = await draw({})
    expect((await draw({ seed: drawn.text.seed })).text).toEqual(drawn.text)
  })
})

describe('the events of a text that is written', () => {
  const body = {
    model: writer,
    input: 'Tell me of the ünï',
    options: { max_new_tokens: 70, min_new_tokens: 70 },
  }

  it('tell it piece by piece, in whole characters, and add up to the result', async () => {
    const events = await allOf(
      await openEvents(fleet.url, '/v1/jobs', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
    )
    const last = events.at(-1)
    if (last?.type !== 'succeeded') throw new Error('it did not succeed')
    const { generated_text } = textOf(last.data)
    expect(piecesOf(events)).toBe(generated_text)
    expect(events.map(({ type }) => type).slice(0, 2)).toEqual(['queued', 'started'])

    // Whoever comes back hears what came after, nothing twice.
    const half = events.findIndex(({ type }) => type === 'output')
    const headers = { 'last-event-id': events[half]?.id ?? '' }
    const rest = await allOf(await openEvents(fleet.url, `/v1/jobs/${last.data.id}/events`, { headers }))
    expect(rest.map(({ id }) => id)).toEqual(events.slice(half + 1).map(({ id }) => id))
  })
})

it('a text that the cache has forgotten is written again, as its job had asked', async () => {
  const body = { model: writer, input: 'Forget me', options: { max_new_tokens: 5, min_new_tokens: 5 } }
  const first = jobOf(await post(fleet.url, body, wait))
  const again = await post(fleet.url, body, wait)
  expect(again.headers.get('x-cache')).toBe('hit')
  await fleet.cacheRedis.restart()
  const before = await itemsComputed(fleet)
  const read = await finished(fleet.url, jobOf(again).id)
  expect(textOf(read)).toEqual(textOf(first))
  expect(textOf(read).tokens.generated).toBe(5)
  expect(await itemsComputed(fleet)).toBe(before + 1)
})
