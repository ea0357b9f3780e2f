/**
 * Samples at another rate: a sine under a Hann window, by the formula and defaults of torchaudio.functional.resample
 * (sinc_interp_hann, lowpass_filter_width 6, rolloff 0.99), with which transformers' speech pipeline resamples.
 */

const zeros = 6
const rolloff = 0.99

/** @param from, to whole samples per second */
export function resample(samples: Float32Array, from: number, to: number): Float32Array {
  if (from === to) return samples
  const divisor = gcd(from, to)
  const [before, after] = [from / divisor, to / divisor]
  const base = Math.min(before, after) * rolloff
  const width = Math.ceil((zeros * before) / base)
  const kernels = new Map<number, Float32Array>()
  const out = new Float32Array(Math.ceil((after * samples.length) / before))
  for (let i = 0; i < out.length; i++) {
    const phase = i % after
    const kernel = kernels.get(phase) ?? kernelOf(phase, { before, after, base, width })
    kernels.set(phase, kernel)
    const first = Math.floor(i / after) * before - width
    let sum = 0
    for (let k = 0; k < kernel.length; k++) sum += (kernel[k] ?? 0) * (samples[first + k] ?? 0)
    out[i] = sum
  }
  return out
}

interface Rates {
  before: number
  after: number
  base: number
  width: number
}

function kernelOf(phase: number, { before, after, base, width }: Rates): Float32Array {
  return Float32Array.from({ length: 2 * width + before }, (_, k) => {
    const t = Math.min(zeros, Math.max(-zeros, base * ((k - width) / before - phase / after)))
    const window = Math.cos((t * Math.PI) / zeros / 2) ** 2
    const sine = t === 0 ? 1 : Math.sin(t * Math.PI) / (t * Math.PI)
    return (sine * window * base) / before
  })
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
