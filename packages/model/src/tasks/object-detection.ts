/** object-detection: the objects of an image, by detectors in the manner of DETR. One image at a time. */
import { readClassificationSettings } from '../classification-settings.js'
import { objectsOf } from '../detections.js'
import { processorFile } from '../model-files.js'
import { imageInputs } from './image-inputs.js'
import type { ModelTask } from './model-task.js'

export async function openObjectDetection(dir: string): Promise<ModelTask> {
  const { labels } = await readClassificationSettings(dir)
  if (labels === undefined) throw new Error(`${dir}/config.json names no labels`)
  return {
    ...(await imageInputs(dir)),
    engine: 'transformers-object-detection',
    output: { kind: 'objects', classes: labels.length },
    files: [processorFile],
    // Images keep their shape, so two seldom fit one tensor.
    oneAtATime: true,
    loaded: () => ({
      facts: { task: 'object-detection', labels: [...labels] },
      resultOf: (rows) => ({ kind: 'value', value: objectsOf(rows, labels) }),
    }),
  }
}
