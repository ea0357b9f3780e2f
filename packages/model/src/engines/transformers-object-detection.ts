/**
 * Objects of an image with transformers.js on ONNX Runtime: detectors whose last class means that there is nothing (DETR,
 * YOLOS). One image at a time: images keep their shape, so two seldom fit one tensor.
 */
import { objectRows } from '../detections.js'
import type { CreateEngine } from '../engine.js'
import { feedImages, imageProbe } from './feed-images.js'
import { SessionEngine } from './session-engine.js'

export const createEngine: CreateEngine = (spec) => {
  const rule = spec.output
  if (rule.kind !== 'objects') throw new Error('A detection engine has to be told how many classes there are')
  const width = rule.classes + 1
  return new SessionEngine(spec, feedImages, {
    wanted: { outputs: ['logits'], beside: 'pred_boxes' },
    probe: imageProbe,
    made: 'box',
    apart: true,
    read({ data: logits, dims, beside: boxes }, rows, sizes) {
      const [, queries = 0, classes] = dims
      if (dims.length !== 3 || classes !== width || boxes?.length !== queries * 4) {
        throw new Error(`The model gives logits of the shape [${dims}], not [1, n, ${width}], or no n boxes`)
      }
      return sizes.map((size, row) => {
        const threshold = rows[row]?.extra?.params?.threshold
        const output = { logits, classes: rule.classes, boxes }
        return objectRows(output, size, typeof threshold === 'number' ? threshold : 0.5)
      })
    },
  })
}
