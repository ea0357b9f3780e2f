/**
 * A detector's logits and boxes as objects: DetrImageProcessor.post_process_object_detection of transformers, in its own
 * arithmetic (float32), and as rows of numbers, which is how objects leave the model process. Knows numbers only.
 */
import { activate } from './activation.js'

/** Score, label, xmin, ymin, xmax, ymax. */
export const objectRowLength = 6
const { fround } = Math

export interface DetectorOutput {
  /** `[queries, classes + 1]`; the last class means that there is nothing. */
  readonly logits: Float32Array
  readonly classes: number
  /** `[queries, 4]`: center and size, as shares of the image. */
  readonly boxes: Float32Array
}

/** @returns one row per object, in the model's own order */
export function objectRows(
  { logits, classes, boxes }: DetectorOutput,
  image: { width: number; height: number },
  threshold: number,
): Float32Array {
  const width = classes + 1
  const rows: number[] = []
  for (let query = 0; query * width < logits.length; query++) {
    const shares = activate(logits.subarray(query * width, (query + 1) * width), 'softmax').subarray(
      0,
      classes,
    )
    const score = Math.max(...shares)
    if (!(score > threshold)) continue
    const [x = 0, y = 0, w = 0, h = 0] = boxes.subarray(query * 4, query * 4 + 4)
    const [halfW, halfH] = [fround(0.5 * w), fround(0.5 * h)]
    rows.push(
      score,
      shares.indexOf(score),
      fround(fround(x - halfW) * image.width),
      fround(fround(y - halfH) * image.height),
      fround(fround(x + halfW) * image.width),
      fround(fround(y + halfH) * image.height),
    )
  }
  return Float32Array.from(rows)
}
