/** feature-extraction: pooled token vectors, as the model's own sentence-transformers files say. */
import { loadTextTokenizer } from '@millrace/tokenizer'
import { readSentenceSettings } from '../sentence-settings.js'
import { type ModelTask, textInputs } from './model-task.js'

export async function openFeatureExtraction(dir: string): Promise<ModelTask> {
  const { pooling, poolingFile } = await readSentenceSettings(dir)
  return {
    ...textInputs(await loadTextTokenizer(dir, 'feature-extraction')),
    engine: 'transformers-embedding',
    output: { kind: 'pooled', pooling },
    files: poolingFile === undefined ? [] : [poolingFile],
    loaded: (dimensions) => ({
      facts: { task: 'feature-extraction', dimensions },
      resultOf: (values) => ({ kind: 'vector', values }),
    }),
  }
}
