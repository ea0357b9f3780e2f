/**
 * Token vectors to one vector per item, in one pass over the model's output. Formulas: sentence-transformers,
 * models/Pooling.py and models/Normalize.py. Knows arrays only.
 */
import type { Pooling } from './engine.js'

/**
 * @param states `[count, width, dimensions]`, row-major; padding is on the right
 * @param lengths real tokens of each item, at least 1
 * @returns one array per item with a buffer of its own, so that no result keeps a whole batch alive
 */
export function pool(
  states: Float32Array,
  width: number,
  dimensions: number,
  lengths: readonly number[],
  pooling: Pooling,
): Float32Array[] {
  return lengths.map((length, row) => {
    const start = row * width * dimensions
    const vector = poolRow(states, start, length, dimensions, pooling.mode)
    if (pooling.normalize) normalize(vector)
    return vector
  })
}

function poolRow(
  states: Float32Array,
  start: number,
  length: number,
  dimensions: number,
  mode: Pooling['mode'],
): Float32Array {
  if (mode === 'cls') return states.slice(start, start + dimensions)
  const last = start + (length - 1) * dimensions
  if (mode === 'lasttoken') return states.slice(last, last + dimensions)
  if (mode === 'max') {
    const vector = states.slice(start, start + dimensions)
    for (let at = start + dimensions; at <= last; at += dimensions) {
      for (let d = 0; d < dimensions; d++) vector[d] = Math.max(vector[d] ?? 0, states[at + d] ?? 0)
    }
    return vector
  }
  const sums = new Float64Array(dimensions)
  for (let at = start; at <= last; at += dimensions) {
    for (let d = 0; d < dimensions; d++) sums[d] = (sums[d] ?? 0) + (states[at + d] ?? 0)
  }
  const divisor = mode === 'mean' ? length : Math.sqrt(length)
  return Float32Array.from(sums, (sum) => sum / divisor)
}

/** To length 1; the floor is torch.nn.functional.normalize's. */
function normalize(vector: Float32Array): void {
  let squares = 0
  for (const value of vector) squares += value * value
  const norm = Math.max(Math.sqrt(squares), 1e-12)
  for (let d = 0; d < vector.length; d++) vector[d] = (vector[d] ?? 0) / norm
}
