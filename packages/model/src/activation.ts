/** Logits to scores, as transformers' TextClassificationPipeline.postprocess does it. Knows numbers only. */

export const activations = ['softmax', 'sigmoid', 'none'] as const
export type Activation = (typeof activations)[number]

/** @returns a new array with a buffer of its own */
export function activate(logits: Float32Array, activation: Activation): Float32Array {
  if (activation === 'softmax') return softmax(logits)
  if (activation === 'sigmoid') return logits.map((logit) => 1 / (1 + Math.exp(-logit)))
  return logits.slice()
}

/** The largest is taken off first, so that nothing overflows. */
function softmax(logits: Float32Array): Float32Array {
  let largest = Number.NEGATIVE_INFINITY
  for (const logit of logits) largest = Math.max(largest, logit)
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return Float32Array.from(powers, (power) => power / sum)
}
