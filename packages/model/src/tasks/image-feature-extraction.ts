/** image-feature-extraction: one vector per image, the one that the model itself has for the whole image. */
import { imageInputs } from './image-inputs.js'
import type { ModelTask } from './model-task.js'

export async function openImageFeatures(dir: string): Promise<ModelTask> {
  return {
    ...(await imageInputs(dir)),
    engine: 'transformers-image',
    output: { kind: 'pooled', pooling: { mode: 'cls', normalize: false } },
    files: [],
    loaded: (dimensions) => ({
      facts: { task: 'image-feature-extraction', dimensions },
      resultOf: (values) => ({ kind: 'vector', values }),
    }),
  }
}
