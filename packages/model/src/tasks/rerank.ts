/**
 * rerank: one logit of how well a text answers a query. The logit itself is the result: a sigmoid can be put on it at any
 * time, and cannot be taken off again.
 */
import { loadTextTokenizer, writePair } from '@millrace/tokenizer'
import { type ModelTask, textInputs } from './model-task.js'

const query = 'What turns the wheel of the mill?'

export async function openRerank(dir: string): Promise<ModelTask> {
  return {
    ...textInputs(await loadTextTokenizer(dir, 'rerank')),
    probe: (text) => ({ input: writePair({ first: query, second: text }), truncate: true }),
    engine: 'transformers-classification',
    output: { kind: 'scores', activation: 'none' },
    files: [],
    loaded: (dimensions) => {
      if (dimensions !== 1) {
        throw new Error(`The model in ${dir} gives ${dimensions} scores per pair; a rerank model gives one`)
      }
      return {
        facts: { task: 'rerank' },
        resultOf: ([score = Number.NaN]) => ({ kind: 'score', score }),
      }
    },
  }
}
