import { setImmediate as nextTurn } from 'node:timers/promises'
import { encodeError, encodeVector } from '@millrace/cache'
import { embeddingListSchema } from '@millrace/contracts'
import { ResultTexts } from '@millrace/job-view'
import { expect, test } from 'vitest'
import { type Embedded, embeddingsJson } from './openai-answer.js'
import { openAiErrorOf } from './openai-error.js'

const texts = new ResultTexts(1 << 20)
const one = encodeVector(new Float32Array([0.1, -1]))
const two = encodeVector(new Float32Array([2, 0]))
const broken = encodeError({ code: 'input_crashes_model', detail: 'twice' })

const embedded = (results: Buffer[], more: Partial<Embedded> = {}): Embedded => ({
  model: 'm "quoted"',
  single: false,
  encoding: 'float',
  slots: [0, 1, 0],
  results: new Map(results.entries()),
  held: false,
  promptTokens: 12,
  ...more,
})

const fault = (given: Embedded) => embeddingsJson(given, texts).then(() => undefined, openAiErrorOf)

test('each input has its vector, in its place, under its index', async () => {
  const list = embeddingListSchema
    .strict()
    .parse(JSON.parse(String(await embeddingsJson(embedded([one, two]), texts))))
  expect(list).toEqual({
    object: 'list',
    data: [
      { object: 'embedding', index: 0, embedding: [0.1, -1] },
      { object: 'embedding', index: 1, embedding: [2, 0] },
      { object: 'embedding', index: 2, embedding: [0.1, -1] },
    ],
    model: 'm "quoted"',
    usage: { prompt_tokens: 12, total_tokens: 12 },
  })
})

test('base64 is of little-endian float32', async () => {
  const json = await embeddingsJson(embedded([one, two], { encoding: 'base64' }), texts)
  const bytes = Buffer.from(JSON.parse(String(json)).data[1].embedding, 'base64')
  expect([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length]).toEqual([2, 0, 8])
})

test('one input that failed fails all, by its index', async () => {
  expect(await fault(embedded([one, broken]))).toMatchObject({
    error: { message: 'input[1]: twice', param: 'input', code: 'input_crashes_model', type: 'server_error' },
  })
  expect(await fault(embedded([broken, one]))).toMatchObject({
    error: { message: 'input[0]: twice (and 1 more)' },
  })
  expect(await fault(embedded([broken], { single: true, slots: [0] }))).toMatchObject({
    error: { message: 'input: twice' },
  })
})

test('a result that is missing is a failure, never a shorter list', async () => {
  expect(await fault(embedded([one]))).toMatchObject({
    error: { message: 'input[1]: this input was not computed', code: 'inference_failed' },
  })
})

test('others get their turn while a long list is written', async () => {
  let written = false
  const json = embeddingsJson(embedded([one, two], { slots: Array(1000).fill(0) }), texts)
  void json.then(() => {
    written = true
  })
  await nextTurn()
  expect(written).toBe(false)
  expect(JSON.parse(String(await json)).data).toHaveLength(1000)
})
