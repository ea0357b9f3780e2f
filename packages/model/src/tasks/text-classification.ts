/** text-classification: a score for each label that config.json names. */
import { loadTextTokenizer } from '@millrace/tokenizer'
import { activationOf, labelsOf, readClassificationSettings } from '../classification-settings.js'
import { type ModelTask, textInputs } from './model-task.js'

export async function openTextClassification(dir: string): Promise<ModelTask> {
  const settings = await readClassificationSettings(dir)
  const activation = activationOf(settings)
  return {
    ...textInputs(await loadTextTokenizer(dir, 'text-classification')),
    engine: 'transformers-classification',
    output: { kind: 'scores', activation },
    files: [],
    loaded: (dimensions) => {
      const labels = labelsOf(settings, dimensions, dir)
      return {
        facts: { task: 'text-classification', labels, multi_label: activation !== 'softmax' },
        resultOf: (scores) => ({ kind: 'labels', labels, scores }),
      }
    },
  }
}
