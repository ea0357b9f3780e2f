/** image-classification: one score per label of the model. */
import { activationOf, labelsOf, readClassificationSettings } from '../classification-settings.js'
import { imageInputs } from './image-inputs.js'
import type { ModelTask } from './model-task.js'

export async function openImageClassification(dir: string): Promise<ModelTask> {
  const settings = await readClassificationSettings(dir)
  const activation = activationOf(settings)
  return {
    ...(await imageInputs(dir)),
    engine: 'transformers-image',
    output: { kind: 'scores', activation },
    files: [],
    loaded: (dimensions) => {
      const labels = labelsOf(settings, dimensions, dir)
      return {
        facts: { task: 'image-classification', labels, multi_label: activation !== 'softmax' },
        resultOf: (scores) => ({ kind: 'labels', labels, scores }),
      }
    },
  }
}
