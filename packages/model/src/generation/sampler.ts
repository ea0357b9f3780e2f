/**
 * Draws a token: temperature, top-k and top-p as transformers' warpers of these names apply them, in this order, then one
 * number of a generator that a seed decides. The same seed and logits draw the same tokens, on every machine. Pure.
 */
import type { Sampling } from './wishes.js'

export interface Share {
  readonly id: number
  readonly share: number
}

export class Sampler {
  readonly #sampling: Sampling
  readonly #random: () => number

  constructor(sampling: Sampling) {
    this.#sampling = sampling
    this.#random = seededRandom(sampling.seed)
  }

  draw(logits: Float32Array): number {
    const shares = sharesOf(logits, this.#sampling)
    let left = this.#random()
    for (const { id, share } of shares) {
      left -= share
      if (left < 0) return id
    }
    // Rounding: the shares add up to a little less than the number drawn.
    return shares.at(-1)?.id ?? 0
  }
}

/** What is drawn from, likeliest first; the shares add up to 1. */
export function sharesOf(logits: Float32Array, { temperature, topK, topP }: Omit<Sampling, 'seed'>): Share[] {
  const scored = best(logits, topK)
  const most = scored[0]?.logit ?? 0
  const weights = scored.map(({ logit }) => Math.exp((logit - most) / temperature))
  const kept = nucleus(weights, topP)
  const sum = total(kept)
  return kept.map((weight, place) => ({ id: scored[place]?.id ?? 0, share: weight / sum }))
}

/** TopKLogitsWarper: all that are at least as likely as the kth. Likeliest first, of those alike the lower id. */
function best(logits: Float32Array, count: number): { id: number; logit: number }[] {
  let least = Number.NEGATIVE_INFINITY
  if (count < logits.length) least = logits.toSorted()[logits.length - count] ?? least
  const found: { id: number; logit: number }[] = []
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? Number.NEGATIVE_INFINITY
    if (logit >= least && logit > Number.NEGATIVE_INFINITY) found.push({ id, logit })
  }
  return found.sort((a, b) => b.logit - a.logit || a.id - b.id)
}

/** TopPLogitsWarper: the unlikeliest go as long as they have at most 1 - p together; one always stays. */
function nucleus(weights: readonly number[], topP: number): readonly number[] {
  if (topP >= 1) return weights
  const allowed = (1 - topP) * total(weights)
  let gone = 0
  let end = weights.length
  while (end > 1) {
    gone += weights[end - 1] ?? 0
    if (gone > allowed) break
    end -= 1
  }
  return weights.slice(0, end)
}

function total(weights: readonly number[]): number {
  return weights.reduce((sum, weight) => sum + weight, 0)
}

/** Numbers from 0 to below 1, of 32 bits: sfc32 by Chris Doty-Humphrey (PractRand), seeded and warmed up as there. */
export function seededRandom(seed: number): () => number {
  let [a, b, c, counter] = [0, seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 1]
  const next = () => {
    const sum = (a + b + counter) >>> 0
    counter = (counter + 1) >>> 0
    a = (b ^ (b >>> 9)) >>> 0
    b = (c + (c << 3)) >>> 0
    c = ((c << 21) | (c >>> 11)) >>> 0
    c = (c + sum) >>> 0
    return sum / 2 ** 32
  }
  for (let i = 0; i < 12; i++) next()
  return next
}
