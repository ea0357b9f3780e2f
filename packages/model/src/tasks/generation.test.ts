/** Prompts to ids and ids to text, on the tiny models, against the Python reference. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { GeneratedText, GenerationTask, Params } from '@millrace/contracts'
import { describe, expect, it } from 'vitest'
import { packWritten } from '../generation/written-tokens.js'
import { type ModelInput, openTask } from './index.js'

interface Written {
  text: string
  params: Params
  input_ids: number[]
  output_ids: number[]
  generated_text: string
  finish_reason: 'stop' | 'length'
}

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const referenceOf = (name: string) =>
  JSON.parse(readFileSync(`${folder(name)}/reference.json`, 'utf8')) as { items: Written[]; summary: Written }

async function openLoaded(name: string, task: GenerationTask) {
  const model = await openTask(folder(name), task)
  const { resultOf, follow } = model.loaded(0)
  if (follow === undefined) throw new Error('nothing to follow')
  const textOf = (input: ModelInput, { output_ids: ids, finish_reason: ending }: Written) => {
    const result = resultOf(packWritten({ ending, ids }), model.encode(input), input)
    if (result.kind !== 'value') throw new Error('no value')
    return { ...result, value: result.value as GeneratedText }
  }
  return { ...model, resultOf, follow, textOf }
}

describe.each([
  ['tiny-writer', 'text-generation'],
  ['tiny-rewriter', 'text2text-generation'],
] as const)('%s', async (name, task) => {
  const { encode, textOf, follow } = await openLoaded(name, task)
  const { items } = referenceOf(name)
  const inputOf = ({ text, params }: Written): ModelInput => ({ input: text, truncate: false, params })

  it.each(items.map((item) => [item.text, JSON.stringify(item.params), item] as const))(
    'reads %j and writes the text of %s as the reference does, at once and token by token',
    (_text, _params, item) => {
      const input = inputOf(item)
      const encoded = encode(input)
      expect([...encoded.ids]).toEqual(item.input_ids)
      expect(encoded.cost).toBe(item.input_ids.length + Number(item.params.max_new_tokens))
      expect(textOf(input, item)).toEqual({
        kind: 'value',
        value: {
          generated_text: item.generated_text,
          finish_reason: item.finish_reason,
          tokens: { prompt: item.input_ids.length, generated: item.output_ids.length },
        },
      })
      const follower = follow(encoded, input)
      let before = ''
      for (const [at, id] of item.output_ids.entries()) {
        const { text, ended } = follower.tokens(at, [id])
        expect(text.startsWith(before)).toBe(true)
        expect(item.generated_text.startsWith(text)).toBe(true)
        expect(ended).toBe(false)
        before = text
      }
      // Heard again from the start, as after a crash: the same text.
      expect(follower.tokens(0, item.output_ids).text).toBe(before)
    },
  )
})

describe('a stop string', async () => {
  const { encode, textOf, follow, resultOf } = await openLoaded('tiny-writer', 'text-generation')
  const [item] = referenceOf('tiny-writer').items
  if (item === undefined) throw new Error('the reference is empty')
  const stop = ['nowhere', 'wer by']
  const input = { input: item.text, truncate: false, params: { ...item.params, stop } }
  const expected = item.generated_text.slice(0, item.generated_text.indexOf('wer by'))

  it('ends the text before it, however far the engine went on', () => {
    const after = [10, 12, 24].map((count) =>
      textOf(input, { ...item, output_ids: item.output_ids.slice(0, count) }),
    )
    for (const { value, partial } of after) {
      expect(value).toMatchObject({
        generated_text: expected,
        finish_reason: 'stop',
        tokens: { generated: 9 },
      })
      expect(partial).toBeUndefined()
    }
  })

  it('is never told, not even its beginning', () => {
    const follower = follow(encode(input), input)
    const heard = item.output_ids.slice(0, 9).map((id, at) => follower.tokens(at, [id]))
    expect(heard.map(({ ended }) => ended)).toEqual([...Array(8).fill(false), true])
    for (const { text } of heard) expect(expected.startsWith(text)).toBe(true)
    expect(heard.at(-1)?.text).toBe(expected)
  })

  it('a text that is cut short is a part, and says so', () => {
    for (const ending of ['time', 'ended'] as const) {
      const output = packWritten({ ending, ids: item.output_ids.slice(0, 3) })
      expect(resultOf(output, encode(input), input)).toMatchObject({ partial: true })
    }
  })
})

describe('a prompt', async () => {
  const { encode } = await openLoaded('tiny-writer', 'text-generation')
  const long = 'the river and the mill '.repeat(40)

  it('that is too long for one more token is refused', () => {
    expect(() => encode({ input: long, truncate: false })).toThrowError(/tokens; this model takes at most 95/)
  })

  it('that is to be cut loses its beginning, and leaves room for what is wanted', () => {
    const { ids } = encode({ input: long, truncate: true, params: { max_new_tokens: 40 } })
    const [whole] = [encode({ input: 'the river and the mill '.repeat(2), truncate: false }).ids]
    expect(ids).toHaveLength(96 - 40)
    expect(ids[0]).toBe(whole?.[0])
    expect([...ids.slice(-4)]).toEqual([...(whole ?? []).slice(-4)])
    // Half of the context is the prompt's, however much is wanted.
    const most = encode({ input: long, truncate: true, params: { max_new_tokens: 256 } })
    expect(most.ids).toHaveLength(96 / 2)
    const short = { input: 'ok', params: { max_new_tokens: 256 } }
    expect(encode({ ...short, truncate: true }).ids).toEqual(encode({ ...short, truncate: false }).ids)
  })
})

it('a text gets what the model’s own files put in front of it for this task', async () => {
  const { summary, items } = referenceOf('tiny-rewriter')
  const input = { input: summary.text, truncate: false, params: summary.params }
  const summarizer = await openLoaded('tiny-rewriter', 'summarization')
  expect([...summarizer.encode(input).ids]).toEqual(summary.input_ids)
  expect(summarizer.textOf(input, summary).value.generated_text).toBe(summary.generated_text)
  const translator = await openLoaded('tiny-rewriter', 'translation')
  expect([...translator.encode(input).ids]).toEqual(
    items.find(({ text }) => text === summary.text)?.input_ids,
  )
})
