/** object-detection: the objects of an image, by detectors in the manner of DETR. One image at a time. */
import { type DetectedObject, shortFloat } from '@millrace/contracts'
import { readClassificationSettings } from '../classification-settings.js'
import { objectRowLength } from '../detections.js'
import { imageInputs } from './image-inputs.js'
import type { ModelTask } from './model-task.js'

export async function openObjectDetection(dir: string): Promise<ModelTask> {
  const { labels } = await readClassificationSettings(dir)
  if (labels === undefined) throw new Error(`${dir}/config.json names no labels`)
  const inputs = await imageInputs(dir)
  return {
    ...inputs,
    // All that it sees: most models are sure of nothing in an image made of nothing.
    probe: (text, place) => ({ ...inputs.probe(text, place), params: { threshold: 0 } }),
    engine: 'transformers-object-detection',
    output: { kind: 'objects', classes: labels.length },
    files: [],
    loaded: () => ({
      facts: { task: 'object-detection', labels: [...labels] },
      resultOf: (rows) => ({ kind: 'value', value: objectsOf(rows, labels) }),
    }),
  }
}

/** @param rows as detections.ts writes them */
export function objectsOf(rows: Float32Array, labels: readonly string[]): DetectedObject[] {
  return Array.from({ length: rows.length / objectRowLength }, (_, row) => {
    const [score = 0, label = -1, ...corners] = rows.subarray(
      row * objectRowLength,
      (row + 1) * objectRowLength,
    )
    // `| 0` as Python's int(): towards zero.
    const [xmin = 0, ymin = 0, xmax = 0, ymax = 0] = corners.map((value) => value | 0)
    return {
      score: shortFloat(score),
      label: labels[label] ?? `LABEL_${label}`,
      box: { xmin, ymin, xmax, ymax },
    }
  })
}
