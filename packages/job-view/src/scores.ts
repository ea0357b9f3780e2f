/** Scores as their readers want them: labels by score, a logit as a number between 0 and 1. */
import { type LabelScore, shortFloat } from '@millrace/contracts'

/** Best first; equal ones in the model's own order. @param topK so many of them; all by default */
export function rankedLabels(
  labels: readonly string[],
  scores: Float32Array,
  topK: number = labels.length,
): LabelScore[] {
  const order = Array.from(labels.keys()).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
  return order.slice(0, topK).map((at) => ({ label: labels[at] ?? '', score: shortFloat(scores[at] ?? 0) }))
}

/** @param raw the logit itself instead of its sigmoid */
export function scoreNumber(logit: number, raw: boolean): number {
  return shortFloat(raw ? logit : Math.fround(1 / (1 + Math.exp(-logit))))
}
