/** The best of many logits, as one vector: how an engine gives candidates, and how they are read again. Knows numbers only. */
import { activate } from './activation.js'

/**
 * @returns scores (softmax over all logits), best first, then their places, equally many; of equal scores the first place
 * stands first. A place is exact: float32 holds every whole number up to 2^24, and no vocabulary is that large.
 */
export function bestOf(logits: Float32Array, most: number): Float32Array {
  const scores = activate(logits, 'softmax')
  const count = Math.min(most, scores.length)
  const best = new Float32Array(2 * count)
  let found = 0
  for (let place = 0; place < scores.length; place++) {
    const score = scores[place] ?? 0
    if (found === count && score <= (best[count - 1] ?? 0)) continue
    let at = found < count ? found++ : count - 1
    for (; at > 0 && (best[at - 1] ?? 0) < score; at--) {
      best[at] = best[at - 1] ?? 0
      best[count + at] = best[count + at - 1] ?? 0
    }
    best[at] = score
    best[count + at] = place
  }
  return best
}

export interface ScoredToken {
  readonly token: number
  readonly score: number
}

/** What `bestOf` put in a vector, best first. */
export function scoredTokens(vector: Float32Array): ScoredToken[] {
  const count = vector.length / 2
  return Array.from({ length: count }, (_, at) => ({
    token: vector[count + at] ?? 0,
    score: vector[at] ?? 0,
  }))
}
