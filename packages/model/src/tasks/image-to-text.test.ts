/** Captions of the fixture, against what the Python reference wrote beside it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Params } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../engine.js'
import { createEngine } from '../engines/generation.js'
import { readWritten } from '../generation/written-tokens.js'
import { type ModelInput, type ModelTask, openTask } from './index.js'

interface Caption {
  file: string
  params: Params
  output_ids: number[]
  generated_text: string
  finish_reason: 'stop' | 'length'
}

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const dir = folder('tiny-captioner')
const { items } = JSON.parse(readFileSync(`${dir}/reference.json`, 'utf8')) as { items: Caption[] }

describe('tiny-captioner', () => {
  let task: ModelTask
  let engine: Engine
  beforeAll(async () => {
    task = await openTask(dir, 'image-to-text')
    engine = createEngine({
      dir,
      dtype: 'fp32',
      task: 'image-to-text',
      output: task.output,
      padTokenId: 0,
      device: 'cpu',
      threads: 1,
      options: {},
    })
    await engine.load()
  })
  afterAll(() => engine.close())

  const inputOf = ({ file, params }: Pick<Caption, 'file' | 'params'>): ModelInput => ({
    ...task.probe('', 0),
    params,
    bytes: readFileSync(`${folder('media')}/${file}`),
  })

  it.each(items.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
    'writes of %s with %s what the reference writes, told piece by piece',
    async (_file, _params, item) => {
      const input = inputOf(item)
      const encoded = task.encode(input)
      const { resultOf, follow } = task.loaded(0)
      const follower = follow?.(encoded, input)
      let told = ''
      const onTokens = (_place: number, at: number, ids: readonly number[]) => {
        const { text = '' } = follower?.tokens(at, ids) ?? {}
        expect(text.startsWith(told)).toBe(true)
        told = text
      }
      const [output = new Float32Array()] = await engine.run([encoded], { onTokens })
      expect(readWritten(output)).toEqual({ ending: item.finish_reason, ids: item.output_ids })
      expect(resultOf(output, encoded, input)).toEqual({
        kind: 'value',
        value: {
          generated_text: item.generated_text,
          finish_reason: item.finish_reason,
          tokens: { prompt: 0, generated: item.output_ids.length },
        },
      })
      expect(item.generated_text.startsWith(told)).toBe(true)
    },
  )

  it('an image costs its patches and all that may be written of it', () => {
    const params = { max_new_tokens: 30 }
    expect(task.encode(inputOf({ file: 'scene.png', params })).cost).toBe(17 + 30)
  })

  it('a file that is no image is refused, and the engine goes on', async () => {
    const broken = { ...inputOf({ file: 'scene.png', params: {} }), bytes: Buffer.from('hello') }
    await expect(engine.run([task.encode(broken)])).rejects.toThrow('damaged')
    const [output] = await engine.run([task.encode(inputOf({ file: 'scene.png', params: {} }))])
    expect(output?.length).toBeGreaterThan(1)
  })
})
