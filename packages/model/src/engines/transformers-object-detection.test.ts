/** The detection engine on the fixture, against what the Python pipeline wrote beside it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DetectedObject } from '@millrace/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { objectRows } from '../detections.js'
import type { EncodedItem, Engine, EngineSpec } from '../engine.js'
import { objectsOf } from '../tasks/object-detection.js'
import { createEngine } from './transformers-object-detection.js'

const folder = (name: string) =>
  fileURLToPath(new URL(`../../../../models/fixtures/${name}`, import.meta.url))
const item = (file: string, threshold: number): EncodedItem => ({
  ids: new Int32Array(),
  extra: { bytes: readFileSync(`${folder('media')}/${file}`), params: { threshold } },
})
const { labels, items } = JSON.parse(readFileSync(`${folder('tiny-yolos')}/reference.json`, 'utf8')) as {
  labels: string[]
  items: { file: string; threshold: number; objects: DetectedObject[] }[]
}
const spec: EngineSpec = {
  dir: folder('tiny-yolos'),
  dtype: 'fp32',
  task: 'object-detection',
  output: { kind: 'objects', classes: labels.length },
  padTokenId: 0,
  device: 'cpu',
  threads: 1,
  options: {},
}

describe('tiny-yolos', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = createEngine(spec)
    await engine.load()
  })
  afterAll(() => engine.close())

  it.each(items)('$file above $threshold: the reference’s objects, in its order', async (one) => {
    const [rows] = await engine.run([item(one.file, one.threshold)])
    const found = objectsOf(rows ?? new Float32Array(), labels)
    const places = (objects: DetectedObject[]) => objects.map(({ label, box }) => ({ label, box }))
    expect(places(found)).toEqual(places(one.objects))
    for (const [at, { score }] of one.objects.entries()) {
      expect(Math.abs((found[at]?.score ?? Number.NaN) - score)).toBeLessThan(1e-4)
    }
  })

  it('images of one batch have each their own objects', async () => {
    const batch = items.map(({ file, threshold }) => item(file, threshold))
    const together = await engine.run(batch)
    for (const [at, one] of batch.entries()) expect((await engine.run([one]))[0]).toEqual(together[at])
  })

  it('a model with another number of classes does not load', async () => {
    const other = createEngine({ ...spec, output: { kind: 'objects', classes: 90 } })
    await expect(other.load()).rejects.toThrow('logits of the shape [1,8,4], not [1, n, 91]')
    await other.close()
  })
})

it('an object below the class for nothing is found where the threshold lets it, as in the reference', () => {
  const logits = Float32Array.of(1, 0, 2)
  const boxes = Float32Array.of(0.5, 0.5, 0.5, 1)
  const rows = (threshold: number) =>
    objectRows({ logits, classes: 2, boxes }, { width: 10, height: 9 }, threshold)
  expect(objectsOf(rows(0.2), ['a', 'b'])).toMatchObject([
    { label: 'a', box: { xmin: 2, ymin: 0, xmax: 7, ymax: 9 } },
  ])
  expect(rows(0.3)).toHaveLength(0)
})
