/** The answer of POST /v1/rerank: documents by their scores. */
import { decodeResult } from '@millrace/cache'
import type { Rerank } from '@millrace/contracts'
import { scoreNumber } from '@millrace/job-view'
import { refuseFailed } from './refuse-failed.js'

export interface Ranked {
  model: Rerank['model']
  slots: readonly number[]
  /** Item result bytes by slot. */
  results: ReadonlyMap<number, Buffer>
  topN: number | undefined
  /** Where they are to be in the answer. */
  documents: readonly string[] | undefined
  rawScores: boolean
  promptTokens: number
  /** Of document i in the request. */
  pathOf: (i: number) => string
}

/** @throws MillraceError where a document failed: this form has no place for the error of one */
export function rankingText(ranked: Ranked): string {
  const { model, slots, results, topN, documents, rawScores, promptTokens, pathOf } = ranked
  refuseFailed(ranked, pathOf)
  // By the logits: far from 0 many of them have the same sigmoid. Equal ones stay in the order of the request.
  const logits = slots.map((slot) => logitOf(results.get(slot)))
  const order = Array.from(slots.keys()).sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b)
  const best = order.slice(0, topN).map((index) => ({
    index,
    relevance_score: scoreNumber(logits[index] ?? 0, rawScores),
    ...(documents && { document: { text: documents[index] ?? '' } }),
  }))
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens }
  return JSON.stringify({ model, results: best, usage })
}

function logitOf(bytes: Buffer | undefined): number {
  const result = bytes && decodeResult(bytes)
  if (result?.kind !== 'score') throw new Error('a reranker’s result holds no score')
  return result.score
}
