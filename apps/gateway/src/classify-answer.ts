/** The answer of POST /v1/classify, from results that hold their labels. */
import { decodeResult } from '@millrace/cache'
import { type Classify, shortFloat } from '@millrace/contracts'
import { rankedLabels } from '@millrace/job-view'
import { refuseFailed } from './refuse-failed.js'

export interface Classified {
  model: Classify['model']
  slots: readonly number[]
  /** Item result bytes by slot. */
  results: ReadonlyMap<number, Buffer>
  topK: number | undefined
  promptTokens: number
  /** Of input i in the request. */
  pathOf: (i: number) => string
}

/** @throws MillraceError where an input failed: this form has no place for the error of one */
export function classificationsText(classified: Classified): string {
  const { model, slots, results, topK, promptTokens, pathOf } = classified
  refuseFailed(classified, pathOf)
  const data = slots.map((slot, index) => ({ index, ...classification(results.get(slot), topK) }))
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens }
  return JSON.stringify({ object: 'list', model, data, usage })
}

function classification(bytes: Buffer | undefined, topK: number | undefined) {
  const result = bytes && decodeResult(bytes)
  if (result?.kind !== 'labels') throw new Error('a classifier’s result holds no labels')
  const labels = rankedLabels(result.labels, result.scores, topK)
  return {
    label: labels[0]?.label ?? '',
    probs: Array.from(result.scores, shortFloat),
    num_classes: result.labels.length,
    labels,
  }
}
