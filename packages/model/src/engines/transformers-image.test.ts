/** The image engine on the fixtures, against what the Python pipelines wrote beside them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EncodedItem, Engine, EngineSpec } from '../engine.js'
import { engineConformance } from '../engine-conformance.js'
import { gradientPng } from '../gradient-png.js'
import { createEngine } from './transformers-image.js'

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const media = (file: string) => readFileSync(`${folder('media')}/${file}`)
const item = (bytes: Uint8Array): EncodedItem => ({ ids: new Int32Array(), cost: 17, extra: { bytes } })

const common = {
  dtype: 'fp32',
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: { maxImagePixels: 20_000 },
} as const
const classifier: EngineSpec = {
  ...common,
  dir: folder('tiny-vit-classifier'),
  task: 'image-classification',
  output: { kind: 'scores', activation: 'softmax' },
}
const features: EngineSpec = {
  ...common,
  dir: folder('tiny-vit'),
  task: 'image-feature-extraction',
  output: { kind: 'pooled', pooling: { mode: 'cls', normalize: false } },
}

for (const [name, spec, field] of [
  ['tiny-vit-classifier', classifier, 'probabilities'],
  ['tiny-vit', features, 'cls'],
] as const) {
  const { items } = JSON.parse(readFileSync(`${spec.dir}/reference.json`, 'utf8')) as {
    items: { file: string; probabilities: number[]; cls: number[] }[]
  }
  describe(name, () => {
    let engine: Engine
    beforeAll(async () => {
      engine = createEngine(spec)
      await engine.load()
    })
    afterAll(() => engine.close())

    it.each(items.map((one) => [one.file, one[field]] as const))(
      '%s: the reference’s numbers, also where it is resized or a JPEG',
      async (file, wanted) => {
        const [found] = await engine.run([item(media(file))])
        expect(found).toHaveLength(wanted.length)
        const largest = Math.max(...wanted.map((value, at) => Math.abs((found?.[at] ?? Number.NaN) - value)))
        expect(largest).toBeLessThan(1e-4)
      },
    )

    it.each([
      ['a truncated file', media('scene.png').subarray(0, 700), 'invalid_input'],
      ['a truncated JPEG', media('photo.jpg').subarray(0, 700), 'invalid_input'],
      ['no image', Buffer.from('hello'), 'invalid_input'],
      [
        'an SVG',
        Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        'invalid_input',
      ],
    ])('%s is refused, and the engine goes on', async (_, bytes, code) => {
      await expect(engine.run([item(bytes)])).rejects.toMatchObject({ name: 'InputRefused', code })
      expect(await engine.run([item(media('scene.png'))])).toHaveLength(1)
    })

    it('an image of too many pixels is not decoded', async () => {
      const large = gradientPng(200, 101, 0)
      await expect(engine.run([item(large)])).rejects.toMatchObject({ name: 'InputRefused' })
    })
  })

  engineConformance(name, {
    createEngine,
    spec,
    maxTokens: 100,
    vocabulary: 2,
    tolerance: 1e-5,
    item: (length, seed) => item(gradientPng(8 + length, 20 + seed, seed)),
  })
}
