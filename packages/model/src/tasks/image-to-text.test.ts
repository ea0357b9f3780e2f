/** Captions of the fixture, against what the Python reference wrote beside it. */
import type { Params } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEngine } from '../engines/generation.js'
import { readWritten } from '../generation/written-tokens.js'
import { openWriter, referenceOf, type WriterUnderTest } from './writer-under-test.js'

interface Caption {
  file: string
  params: Params
  output_ids: number[]
  generated_text: string
  finish_reason: 'stop' | 'length'
}

const { items } = referenceOf('tiny-captioner') as { items: Caption[] }

describe('tiny-captioner', () => {
  let writer: WriterUnderTest
  beforeAll(async () => {
    writer = await openWriter('tiny-captioner', 'image-to-text', createEngine)
  })
  afterAll(() => writer.engine.close())

  it.each(items.map((item) => [item.file, JSON.stringify(item.params), item] as const))(
    'writes of %s with %s what the reference writes, told piece by piece',
    async (_file, _params, item) => {
      const input = writer.inputOf(item)
      const { output, encoded, told } = await writer.write(input)
      expect(readWritten(output)).toEqual({ ending: item.finish_reason, ids: item.output_ids })
      expect(writer.task.loaded(0).resultOf(output, encoded, input)).toEqual({
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
    expect(writer.task.encode(writer.inputOf({ file: 'scene.png', params })).cost).toBe(17 + 30)
  })

  it('a file that is no image is refused, and the engine goes on', async () => {
    const good = writer.inputOf({ file: 'scene.png', params: {} })
    await expect(writer.write({ ...good, bytes: Buffer.from('hello') })).rejects.toThrow('damaged')
    expect((await writer.write(good)).output.length).toBeGreaterThan(1)
  })
})
